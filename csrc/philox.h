// Philox-4x32-10: counter-based random numbers (Salmon et al., SC'11), shared by host and device.
#pragma once
#include <cstdint>

#include "host_device.h"

namespace faultsim {

struct Philox4 {
  uint32_t v[4];
};

FAULTSIM_HD inline Philox4 philox(Philox4 counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * counter.v[0];
    const uint64_t b = uint64_t{0xCD9E8D57u} * counter.v[2];
    counter = {{static_cast<uint32_t>(b >> 32) ^ counter.v[1] ^ key0, static_cast<uint32_t>(b),
                static_cast<uint32_t>(a >> 32) ^ counter.v[3] ^ key1, static_cast<uint32_t>(a)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// A stream of 64-bit draws, two from each counter value. The seed is the key; the counter holds
// (draw, block, trial, stream), so streams never overlap.
class Draws {
 public:
  FAULTSIM_HD Draws(uint64_t seed, uint32_t trial, uint32_t stream, uint32_t block)
      : key0_(static_cast<uint32_t>(seed)),
        key1_(static_cast<uint32_t>(seed >> 32)),
        block_(block),
        trial_(trial),
        stream_(stream) {}

  FAULTSIM_HD uint64_t next() {
    if (drawn_ % 2 == 0) {
      // Draws beyond 2^33 spill into the block word, which only blockless streams reach.
      const uint64_t number = drawn_ / 2;
      const uint32_t high = block_ + static_cast<uint32_t>(number >> 32);
      words_ = philox({{static_cast<uint32_t>(number), high, trial_, stream_}}, key0_, key1_);
    }
    const int at = static_cast<int>(drawn_++ % 2) * 2;
    return words_.v[at] | static_cast<uint64_t>(words_.v[at + 1]) << 32;
  }

 private:
  uint32_t key0_, key1_, block_, trial_, stream_;
  uint64_t drawn_ = 0;
  Philox4 words_{};
};

FAULTSIM_HD inline uint64_t multiply_high(uint64_t a, uint64_t b) {
#ifdef __CUDA_ARCH__
  return __umul64hi(a, b);
#else
  return static_cast<uint64_t>(static_cast<unsigned __int128>(a) * b >> 64);
#endif
}

// Uniform in [0, limit): 64-bit multiply-high with rejection (Lemire, ACM TOMACS 2019).
FAULTSIM_HD inline uint64_t uniform_below(Draws& draws, uint64_t limit) {
  const uint64_t biased = (0 - limit) % limit;
  uint64_t draw = draws.next();
  while (draw * limit < biased) draw = draws.next();
  return multiply_high(draw, limit);
}

}  // namespace faultsim
