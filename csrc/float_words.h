// Floating-point words: their fields, and their values as numbers.
//
// In an anonymous namespace, because sources compiled for different instruction sets include it and
// must not share its code.
#pragma once
#include <cstdint>
#include <cstring>

#include "host_device.h"

namespace faultsim {
namespace {

template <class To, class From>
FAULTSIM_HD inline To as(From from) {
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

// Stored is the word in memory. real() takes a word without its sign.
struct F64 {
  using Stored = int64_t;
  static constexpr int mantissa = 52, exponent = 11;
  FAULTSIM_HD static double real(Stored magnitude) { return as<double>(magnitude); }
};

struct F32 {
  using Stored = int32_t;
  static constexpr int mantissa = 23, exponent = 8;
  FAULTSIM_HD static float real(Stored magnitude) { return as<float>(magnitude); }
};

struct F16 {
  using Stored = int16_t;
  static constexpr int mantissa = 10, exponent = 5;
  FAULTSIM_HD static float real(Stored magnitude) {
#ifdef __CUDA_ARCH__
    float number;
    asm("cvt.f32.f16 %0, %1;" : "=f"(number) : "h"(magnitude));
    return number;
#else
    return magnitude < 0x7C00 ? finite(magnitude) : as<float>(lifted(magnitude) + (224 << 23));
#endif
  }
  // A float's exponent is biased by 112 more. The first value is right for normal words and the
  // second for subnormal ones, where the other is larger. No subnormal float is touched: they are
  // slow.
  FAULTSIM_HD static float finite(Stored magnitude) {
    const float normal = as<float>(lifted(magnitude) + (112 << 23));
    const float subnormal = as<float>(lifted(magnitude) + (113 << 23)) - 0x1p-14f;
    return normal < subnormal ? normal : subnormal;
  }
  FAULTSIM_HD static int32_t lifted(Stored magnitude) {
    return static_cast<int32_t>(magnitude) << 13;
  }
};

struct BF16 {
  using Stored = int16_t;
  static constexpr int mantissa = 7, exponent = 8;
  FAULTSIM_HD static float real(Stored magnitude) {
    return as<float>(static_cast<int32_t>(magnitude) << 16);
  }
};

template <class F>
constexpr typename F::Stored kMagnitude =
    static_cast<typename F::Stored>((uint64_t{1} << (F::mantissa + F::exponent)) - 1);

template <class F>
constexpr typename F::Stored kInfinity =
    static_cast<typename F::Stored>(kMagnitude<F> >> F::mantissa << F::mantissa);

template <class F>
FAULTSIM_HD inline double value(typename F::Stored word) {
  const double magnitude = F::real(word & kMagnitude<F>);
  return word < 0 ? -magnitude : magnitude;
}

}  // namespace
}  // namespace faultsim
