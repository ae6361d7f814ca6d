// Contiguous shares of a range on plain threads: a second OpenMP runtime beside torch's would
// compete with it for the cores.
#pragma once
#include <algorithm>
#include <cstdint>
#include <thread>
#include <vector>

namespace faultsim {

// Calls body(part, begin, end) for each of `threads` shares of [0, n); the caller runs the first.
template <class Body>
void parallel_for(int64_t n, int threads, Body body) {
  const int64_t share = (n + threads - 1) / threads;
  auto run = [&](int part) {
    const int64_t begin = std::min(n, part * share);
    body(part, begin, std::min(n, begin + share));
  };
  std::vector<std::thread> others;
  for (int part = 1; part < threads; ++part) others.emplace_back(run, part);
  run(0);
  for (std::thread& other : others) other.join();
}

}  // namespace faultsim
