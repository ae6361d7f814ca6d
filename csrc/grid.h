// A kernel is a functor of a thread number, and a grid runs it for every thread: the device's, or
// the host's, in any order, so that logic can be tested without a device.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "block.h"

namespace faultsim {

constexpr int kBlockThreads = 256;

// Threads 0, 1, 2, ..., or in the random order that a shuffle other than 0 names.
struct HostGrid {
  uintptr_t shuffle;

  template <class Body>
  void run(int64_t threads, const Body& body) const {
    std::vector<int64_t> order(threads);
    std::iota(order.begin(), order.end(), 0);
    if (shuffle != 0) std::shuffle(order.begin(), order.end(), std::mt19937_64(shuffle));
    for (const int64_t thread : order) body(thread);
  }

  template <class Body>
  void run_blocks(int64_t blocks, const Body& body) const {
    run_blocks_on_host(blocks, shuffle != 0, body);
  }

  void clear(void* at, size_t bytes) const { std::memset(at, 0, bytes); }

  void copy(void* to, const void* from, size_t bytes) const { std::memcpy(to, from, bytes); }

  int64_t blocks_at_once() const { return 3; }
};

// A stream of the current device. A run is asynchronous and allocates and copies nothing, so a CUDA
// graph can hold it.
struct DeviceGrid {
  uintptr_t stream;

  template <class Body>
  void run(int64_t threads, const Body& body) const;

  template <class Body>
  void run_blocks(int64_t blocks, const Body& body) const;

  void clear(void* at, size_t bytes) const;

  // To or from the device, in stream order; returns once it is done.
  void copy(void* to, const void* from, size_t bytes) const;

  int64_t blocks_at_once() const;  // enough to keep the device busy
};

#ifdef __CUDACC__

inline void check_cuda(cudaError_t error) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // or the next launch would be blamed for it
  throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(error));
}

template <class Body>
__global__ void run_body(int64_t threads, Body body) {
  const int64_t thread = blockIdx.x * static_cast<int64_t>(kBlockThreads) + threadIdx.x;
  if (thread < threads) body(thread);
}

template <class Body>
void DeviceGrid::run(int64_t threads, const Body& body) const {
  if (threads == 0) return;
  const auto blocks = static_cast<unsigned>((threads + kBlockThreads - 1) / kBlockThreads);
  run_body<<<blocks, kBlockThreads, 0, reinterpret_cast<cudaStream_t>(stream)>>>(threads, body);
  check_cuda(cudaGetLastError());
}

template <class Body>
void DeviceGrid::run_blocks(int64_t blocks, const Body& body) const {
  run_blocks_on_device(blocks, reinterpret_cast<void*>(stream), body);
}

inline void DeviceGrid::clear(void* at, size_t bytes) const {
  check_cuda(cudaMemsetAsync(at, 0, bytes, reinterpret_cast<cudaStream_t>(stream)));
}

inline void DeviceGrid::copy(void* to, const void* from, size_t bytes) const {
  const auto queue = reinterpret_cast<cudaStream_t>(stream);
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, queue));
  check_cuda(cudaStreamSynchronize(queue));
}

inline int64_t DeviceGrid::blocks_at_once() const {
  int device, processors;
  check_cuda(cudaGetDevice(&device));
  check_cuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device));
  return 32 * processors;  // some that wait for the others, so that none is left to end alone
}

#endif

}  // namespace faultsim
