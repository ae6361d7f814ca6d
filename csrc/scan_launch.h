// The blocks of a scan, in the layout that fits its states.
#pragma once
#include "scan_block_backward.h"
#include "scan_block_forward.h"
#include "scan_grid.h"

namespace faultsim {
namespace {

template <class Real, class Body>
void with_lanes(int64_t state, const Body& body) {
  if (state <= 8 * kHeld) return body(Layout<Real, 8>{});
  if (state <= 16 * kHeld) return body(Layout<Real, 16>{});
  if (state <= kMostStates) return body(Layout<Real, 32>{});
  throw std::invalid_argument("a scan in blocks has at most 64 states");
}

template <class Body>
void with_layout(const ScanJob& job, const Body& body) {
  job.is_double ? with_lanes<double>(job.state, body) : with_lanes<float>(job.state, body);
}

// `run` takes a number of blocks and their body.
template <class Run>
void forward_blocks(const ScanJob& job, const Run& run) {
  with_layout(job, [&](auto layout) {
    using L = decltype(layout);
    run(Share<L>::count(job), ForwardScan<L>{job});
  });
}

template <class Run>
void backward_blocks(const ScanJob& job, const ScanGrads& grads, void* memory, const Run& run) {
  with_layout(job, [&](auto layout) {
    using L = decltype(layout);
    const BackwardScratch<L> scratch(job, memory);
    run(Share<L>::count(job), BackwardScan<L>{job, grads, scratch});
    const auto sums = sums_of<L>(job, grads, scratch);
    run(sums.blocks(), sums);
  });
}

}  // namespace
}  // namespace faultsim
