// Which bits fail: distinct uniform positions, and independent errors at a rate.
#pragma once
#include <cstdint>
#include <vector>

#include "logarithm.h"
#include "philox.h"

namespace faultsim {

constexpr int64_t kBlockBits = int64_t{1} << 20;
constexpr uint32_t kErrorStream = 0x80000000u;  // keeps rates apart from uniform draws

// n distinct positions in [0, population), in the order they are drawn.
void sample_uniform(uint64_t population, int64_t n, uint64_t seed, uint32_t trial, uint32_t stream,
                    int64_t* out);

// Positions of a population whose bits fail independently with probability rate, ascending.
std::vector<int64_t> sample_bit_errors(int64_t population, double rate, uint64_t seed,
                                       uint32_t trial, uint32_t stream);

// Bits that survive before the next error: geometric with parameter p, capped at a block.
FAULTSIM_HD inline int64_t survivors(Draws& draws, double log_survive) {
  const double uniform = ((draws.next() >> 11) + 1) * 0x1p-53;  // in (0, 1]
  const double skip = natural_log(uniform) / log_survive;
  return skip < kBlockBits ? static_cast<int64_t>(skip) : kBlockBits;
}

// One draw of bit errors.
struct ErrorDraw {
  int64_t population;
  double log_survive;  // of a bit
  uint64_t seed;
  uint32_t trial, stream;

  ErrorDraw(int64_t population_, double rate, uint64_t seed_, uint32_t trial_, uint32_t stream_)
      : population(rate > 0 ? population_ : 0),
        log_survive(rate > 0 && rate < 1 ? log_survival(rate) : -1e300),
        seed(seed_),
        trial(trial_),
        stream(stream_ | kErrorStream) {}

  FAULTSIM_HD int64_t blocks() const { return (population + kBlockBits - 1) / kBlockBits; }

  // Calls visit(position) for the errors of one block, ascending.
  template <class Visit>
  FAULTSIM_HD void visit_block(int64_t block, Visit visit) const {
    const int64_t start = block * kBlockBits, left = population - start;
    const int64_t end = start + (left < kBlockBits ? left : kBlockBits);
    Draws draws(seed, trial, stream, static_cast<uint32_t>(block));
    for (int64_t at = start + survivors(draws, log_survive); at < end;
         at += 1 + survivors(draws, log_survive))
      visit(at);
  }
};

}  // namespace faultsim
