// Contiguous shares of a range, on the threads that torch computes with where there are any.
#pragma once
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace faultsim {

// Calls work(data) on a team of threads; see GCC's libgomp.
using Team = void (*)(void (*work)(void*), void* data, unsigned threads, unsigned flags);

// The team of the OpenMP runtime that torch brought into this process, or null. Threads of our own,
// or of a second runtime, would compete for the cores with torch's, which spin for a while after
// each of its operators: a scan between two of them then takes half as long again.
inline Team torch_team() {
  static const Team team = reinterpret_cast<Team>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  return team;
}

// Calls body(part, begin, end) for each of `threads` shares of [0, n).
template <class Body>
void parallel_for(int64_t n, int threads, Body body) {
  const int64_t share = (n + threads - 1) / threads;
  std::atomic<int> next{0};
  auto work = [&] {
    for (int part = next++; part < threads; part = next++) {
      const int64_t begin = std::min(n, part * share);
      body(part, begin, std::min(n, begin + share));
    }
  };
  if (threads > 1 && torch_team() != nullptr) {
    torch_team()([](void* given) { (*static_cast<decltype(work)*>(given))(); }, &work,
                 static_cast<unsigned>(threads), 0);
    return;
  }
  std::vector<std::thread> others;
  for (int part = 1; part < threads; ++part) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
}

}  // namespace faultsim
