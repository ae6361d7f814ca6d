// A cooperative kernel is a functor of a block of threads, the memory that they share and the
// number of the block. On the host one thread plays them all, phase by phase, so that the logic can
// be tested without a device.
#pragma once
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "host_device.h"

namespace faultsim {

// Threads meet after each phase. On the host they take turns, last first if `reversed`: a phase
// that reads what another thread of the same phase writes then shows.
template <int n_threads>
class ThreadBlock {
 public:
  FAULTSIM_HD explicit ThreadBlock(bool reversed = false) : reversed_(reversed) {}

  template <class Phase>
  FAULTSIM_HD void each(const Phase& phase) const {
#ifdef __CUDA_ARCH__
    phase(static_cast<int>(threadIdx.x));
    __syncthreads();
#else
    for (int i = 0; i < n_threads; ++i) phase(reversed_ ? n_threads - 1 - i : i);
#endif
  }

  // Whether the phase returned true for any thread.
  template <class Phase>
  FAULTSIM_HD bool any(const Phase& phase) const {
#ifdef __CUDA_ARCH__
    return __syncthreads_or(phase(static_cast<int>(threadIdx.x)));
#else
    bool found = false;
    each([&](int thread) { found |= phase(thread); });
    return found;
#endif
  }

 private:
  bool reversed_;
};

// What a thread keeps from phase to phase: registers on the device.
template <class T, int n_threads>
class PerThread {
 public:
#ifdef __CUDA_ARCH__
  FAULTSIM_HD T& operator[](int) { return value_; }

 private:
  T value_{};
#else
  FAULTSIM_HD T& operator[](int thread) { return values_[thread]; }

 private:
  T values_[n_threads]{};
#endif
};

// The device starts a block with whatever shared memory holds; the host with words that are NaN as
// numbers.
template <class Body>
void run_blocks_on_host(int64_t blocks, bool reversed, const Body& body) {
  const auto shared = std::make_unique<typename Body::Shared>();
  for (int64_t i = 0; i < blocks; ++i) {
    std::memset(static_cast<void*>(shared.get()), 0xFF, sizeof *shared);
    body(ThreadBlock<Body::threads>(reversed), *shared, reversed ? blocks - 1 - i : i);
  }
}

#ifdef __CUDACC__

template <class Body>
__global__ void __launch_bounds__(Body::threads) run_block_body(Body body) {
  __shared__ typename Body::Shared shared;
  body(ThreadBlock<Body::threads>(), shared, blockIdx.x);
}

// Asynchronous, on the current device. Allocates and copies nothing, so a CUDA graph can hold it.
template <class Body>
void run_blocks_on_device(int64_t blocks, void* stream, const Body& body) {
  if (blocks == 0) return;
  run_block_body<<<static_cast<unsigned>(blocks), Body::threads, 0,
                   static_cast<cudaStream_t>(stream)>>>(body);
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess)
    throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(error));
}

#endif

}  // namespace faultsim
