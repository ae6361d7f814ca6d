// The limits that kernels over a grid are measured against; see limits.h.
#pragma once
#include "atomics.h"
#include "grid.h"

namespace faultsim {

// A block of threads sums units of consecutive words, a thread four loads of two at a time.
struct ReadLimit {
  static constexpr int threads = kBlockThreads;
  static constexpr int64_t kUnit = 8 * threads;

  struct alignas(16) Pack {
    uint64_t words[2];
  };

  struct Shared {
    uint64_t sums[threads];
  };

  const Pack* packs;
  int64_t units, blocks;
  uint64_t* sum;

  FAULTSIM_HD void operator()(const ThreadBlock<threads>& block, Shared& shared,
                              int64_t number) const {
    block.each([&](int thread) { shared.sums[thread] = sum_of(number, thread); });
    block.each([&](int thread) {
      if (thread != 0) return;  // one atomic a block: one a thread took longer than the reading
      uint64_t total = 0;
      for (int i = 0; i < threads; ++i) total += shared.sums[i];
      fetch_add(sum, total);
    });
  }

  FAULTSIM_HD uint64_t sum_of(int64_t number, int thread) const {
    uint64_t total = 0;
    for (int64_t unit = number; unit < units; unit += blocks) {
      const Pack* at = packs + unit * (kUnit / 2) + thread;
      FAULTSIM_UNROLL
      for (int i = 0; i < 4; ++i) total += at[i * threads].words[0] + at[i * threads].words[1];
    }
    return total;
  }
};

struct UpdateLimit {
  uint32_t* words;
  const int64_t* index;

  FAULTSIM_HD void operator()(int64_t i) const { ++words[index[i]]; }
};

template <class Grid>
struct GridLimits {
  Grid grid;

  // Adds the n words to *sum; n is a multiple of ReadLimit::kUnit, and the words are aligned to 16
  // bytes.
  void read(const uint64_t* words, int64_t n, uint64_t* sum) const;

  // Increments the words at distinct indices.
  void update(uint32_t* words, const int64_t* index, int64_t n) const;
};

template <class Grid>
void GridLimits<Grid>::read(const uint64_t* words, int64_t n, uint64_t* sum) const {
  const int64_t units = n / ReadLimit::kUnit, blocks = std::min(units, grid.blocks_at_once());
  const auto* packs = reinterpret_cast<const ReadLimit::Pack*>(words);
  grid.run_blocks(blocks, ReadLimit{packs, units, blocks, sum});
}

template <class Grid>
void GridLimits<Grid>::update(uint32_t* words, const int64_t* index, int64_t n) const {
  grid.run(n, UpdateLimit{words, index});
}

extern template struct GridLimits<DeviceGrid>;

}  // namespace faultsim
