// The scan forward, as one block of threads computes it.
#pragma once
#include "scan_lanes.h"

namespace faultsim {
namespace {

template <class L>
struct ForwardScan {
  using Real = typename L::Real;
  static constexpr int threads = kScanThreads;

  struct Shared : Tile<L, L::forward_tile> {
    Real part[L::forward_tile][kScanThreads + 1];  // <h, C> over the states of a lane
  };

  ScanJob job;

  FAULTSIM_HD void operator()(const ScanBlock& block, Shared& shared, int64_t number) const {
    const Share<L> share(job, number);
    PerScanThread<Lane<Real>> lanes;
    block.each([&](int thread) { lanes[thread] = first_lane<L>(job, share, thread); });
    for (int64_t from = 0; from < job.length; from += L::forward_tile) {
      const Steps steps(job, from, L::forward_tile);
      const bool special = load_tile(block, job, share, steps, lanes, shared, job.C, [](int) {});
      pass_tile(block, job, share, steps, special, lanes, shared,
                [&](int thread, int t, const Pair<Real>&, const Pair<Real>& h) {
                  const Pair<Real> c = shared.c[t][L::lane(thread)];
                  Real part = 0;
                  for (int k = 0; k < kHeld; ++k)
                    if (k < lanes[thread].states) part = fused(h[k], c[k], part);
                  shared.part[t][thread] = part;
                });
      block.each([&](int thread) { read_out(share, steps, thread, shared); });
    }
  }

  FAULTSIM_HD void read_out(const Share<L>& share, const Steps& steps, int thread,
                            const Shared& shared) const {
    each_step<L>(share, steps, thread, [&](int channel, int t) {
      Real y = tree_sum<L::lanes, Real>(
          [&](int lane) { return shared.part[t][channel * L::lanes + lane]; });
      if (job.D != nullptr)
        y = fused(of_channel<Real>(job.D, share.first + channel), shared.u[t][channel], y);
      store(job.is_narrow, y, job.y, share.row(job, channel) + steps.from + t);
    });
  }
};

}  // namespace
}  // namespace faultsim
