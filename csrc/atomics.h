// Relaxed atomic operations, the same on host and device; each returns the value before.
#pragma once
#include <cstdint>

#include "host_device.h"

namespace faultsim {

FAULTSIM_HD inline uint64_t fetch_add(uint64_t* at, uint64_t value) {
#ifdef __CUDA_ARCH__
  return atomicAdd(reinterpret_cast<unsigned long long*>(at), value);
#else
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
#endif
}

FAULTSIM_HD inline uint32_t fetch_add(uint32_t* at, uint32_t value) {
#ifdef __CUDA_ARCH__
  return atomicAdd(at, value);
#else
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
#endif
}

FAULTSIM_HD inline uint64_t fetch_min(uint64_t* at, uint64_t value) {
#ifdef __CUDA_ARCH__
  return atomicMin(reinterpret_cast<unsigned long long*>(at), value);
#else
  uint64_t before = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (value < before && !__atomic_compare_exchange_n(at, &before, value, true, __ATOMIC_RELAXED,
                                                        __ATOMIC_RELAXED)) {
  }
  return before;
#endif
}

FAULTSIM_HD inline uint64_t fetch_max(uint64_t* at, uint64_t value) {
#ifdef __CUDA_ARCH__
  return atomicMax(reinterpret_cast<unsigned long long*>(at), value);
#else
  uint64_t before = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (value > before && !__atomic_compare_exchange_n(at, &before, value, true, __ATOMIC_RELAXED,
                                                        __ATOMIC_RELAXED)) {
  }
  return before;
#endif
}

FAULTSIM_HD inline int32_t fetch_or(int32_t* at, int32_t value) {
#ifdef __CUDA_ARCH__
  return atomicOr(at, value);
#else
  return __atomic_fetch_or(at, value, __ATOMIC_RELAXED);
#endif
}

FAULTSIM_HD inline uint64_t load_relaxed(const uint64_t* at) {
#ifdef __CUDA_ARCH__
  return *static_cast<const volatile uint64_t*>(at);
#else
  return __atomic_load_n(at, __ATOMIC_RELAXED);
#endif
}

}  // namespace faultsim
