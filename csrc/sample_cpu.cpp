#include "sample.h"

namespace faultsim {
namespace {

// Positions seen so far: open addressing, a power of two of slots, at most half full.
class Seen {
 public:
  explicit Seen(int64_t n) {
    while (mask_ + 1 < 2 * static_cast<uint64_t>(n)) mask_ = 2 * mask_ + 1;
    slots_.assign(mask_ + 1, kEmpty);
  }

  bool insert(uint64_t position) {
    uint64_t at = position * 0x9E3779B97F4A7C15u >> 20 & mask_;
    while (slots_[at] != kEmpty) {
      if (slots_[at] == position) return false;
      at = (at + 1) & mask_;
    }
    slots_[at] = position;
    return true;
  }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  uint64_t mask_ = 15;
  std::vector<uint64_t> slots_;
};

}  // namespace

void sample_uniform(uint64_t population, int64_t n, uint64_t seed, uint32_t trial, uint32_t stream,
                    int64_t* out) {
  Draws draws(seed, trial, stream, 0);
  Seen seen(n);
  for (int64_t drawn = 0; drawn < n;) {
    const uint64_t position = uniform_below(draws, population);
    if (seen.insert(position)) out[drawn++] = static_cast<int64_t>(position);
  }
}

std::vector<int64_t> sample_bit_errors(int64_t population, double rate, uint64_t seed,
                                       uint32_t trial, uint32_t stream) {
  std::vector<int64_t> errors;
  const ErrorDraw draw(population, rate, seed, trial, stream);
  for (int64_t block = 0; block < draw.blocks(); ++block)
    draw.visit_block(block, [&](int64_t at) { errors.push_back(at); });
  return errors;
}

}  // namespace faultsim
