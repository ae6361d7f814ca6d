// The limits kernels are measured against: streaming reads and random updates of memory.
#pragma once
#include <cstdint>

namespace faultsim {

// Sum of n 64-bit words, read once from front to back by each thread's share.
uint64_t read_limit(const uint64_t* words, int64_t n, int threads);

// Increments the 32-bit words at the given indices.
void update_limit(uint32_t* words, const int64_t* index, int64_t n);

}  // namespace faultsim
