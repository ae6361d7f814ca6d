// The limits that kernels over a grid are measured against; see limits.h.
#pragma once
#include "atomics.h"
#include "grid.h"

namespace faultsim {

// A block of threads sums a unit of consecutive words, a thread four loads of two.
struct ReadLimit {
  static constexpr int64_t kUnit = 8 * kBlockThreads;

  struct alignas(16) Pack {
    uint64_t words[2];
  };

  const Pack* packs;
  int64_t units, blocks;
  uint64_t* sum;

  FAULTSIM_HD void operator()(int64_t thread) const {
    uint64_t total = 0;
    for (int64_t unit = thread / kBlockThreads; unit < units; unit += blocks) {
      const Pack* at = packs + unit * (kUnit / 2) + thread % kBlockThreads;
      FAULTSIM_UNROLL
      for (int i = 0; i < 4; ++i)
        total += at[i * kBlockThreads].words[0] + at[i * kBlockThreads].words[1];
    }
    fetch_add(sum, total);
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
  grid.run(blocks * kBlockThreads, ReadLimit{packs, units, blocks, sum});
}

template <class Grid>
void GridLimits<Grid>::update(uint32_t* words, const int64_t* index, int64_t n) const {
  grid.run(n, UpdateLimit{words, index});
}

extern template struct GridLimits<DeviceGrid>;

}  // namespace faultsim
