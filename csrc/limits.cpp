#include "limits.h"

#include <vector>

#include "parallel.h"

namespace faultsim {

uint64_t read_limit(const uint64_t* words, int64_t n, int threads) {
  std::vector<uint64_t> sums(threads, 0);
  parallel_for(n, threads, [&](int part, int64_t begin, int64_t end) {
    uint64_t a = 0, b = 0, c = 0, d = 0;
    int64_t i = begin;
    for (; i + 4 <= end; i += 4) {
      a += words[i];
      b += words[i + 1];
      c += words[i + 2];
      d += words[i + 3];
    }
    for (; i < end; ++i) a += words[i];
    sums[part] = a + b + c + d;
  });
  uint64_t total = 0;
  for (uint64_t sum : sums) total += sum;
  return total;
}

void update_limit(uint32_t* words, const int64_t* index, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if (i + 24 < n) __builtin_prefetch(words + index[i + 24], 1);
    ++words[index[i]];
  }
}

}  // namespace faultsim
