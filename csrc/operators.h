// What faults do to a word, shared by host and device.
#pragma once
#include <cstdint>

#include "host_device.h"
#include "normal.h"
#include "values.h"

namespace faultsim {

enum class Op : int {
  flip = 0,
  stuck_at_0,
  stuck_at_1,
  replace,
  random,
  zero,
  set,
  add,
  scale,
  gaussian,
  byte_shift
};

// Operators of others follow, on the host alone.
constexpr int kOwn = 64;

// An operator of others, over n words without bits beyond their own, or over n numbers and random
// ones in [0, 1), in place.
struct Own {
  void (*of_words)(uint64_t* words, uint64_t* operands, uint64_t* random, int64_t n) = nullptr;
  void (*of_values)(double* values, double* operands, double* random, int64_t n) = nullptr;
};

// The operator of a number from kOwn on; throws std::invalid_argument where none was defined.
const Own* own_operator(Op op);
void define_operator(int number, const Own& own);

// What one fault does. The operand is the mask of a flip and a stuck-at, the word of a replacement,
// a number of bytes, or a double. Of the others only the bits of the mask reach the word.
struct Effect {
  Op op;
  int64_t operand;
  int64_t mask = -1;
  uint64_t random = 0;
  const Own* own = nullptr;
};

FAULTSIM_HD inline double as_double(int64_t bits) {
  double number;
  memcpy(&number, &bits, sizeof number);
  return number;
}

// Towards the most significant byte, or for a negative number the least; zeros come in.
FAULTSIM_HD inline uint64_t shifted(uint64_t word, int64_t bytes) {
  if (bytes <= -8 || bytes >= 8) return 0;
  return bytes < 0 ? word >> (-8 * bytes) : word << (8 * bytes);
}

FAULTSIM_HD inline double changed(Op op, double value, double operand, uint64_t random) {
  switch (op) {
    case Op::set:
      return operand;
    case Op::add:
      return value + operand;
    case Op::scale:
      return value * operand;
    default:
      return value * (1 + operand * normal_of(random));
  }
}

// The word that is nearest to a number. A NaN stays the NaN it was.
FAULTSIM_HD inline uint64_t renewed(const Layout& layout, uint64_t word, double number) {
  return number != number && layout.is_nan(word) ? word : word_of(layout, number);
}

#ifndef __CUDA_ARCH__
inline uint64_t own_word(const Effect& effect, const Layout& layout, uint64_t word) {
  if (effect.own->of_words != nullptr) {
    uint64_t operand = static_cast<uint64_t>(effect.operand) & layout.all(), random = effect.random;
    effect.own->of_words(&word, &operand, &random, 1);
    return word;
  }
  double number = number_of(layout, word);
  double operand = as_double(effect.operand), random = uniform_of(effect.random);
  effect.own->of_values(&number, &operand, &random, 1);
  return renewed(layout, word, number);
}
#endif

// The new word of the operators that know the whole word; bits beyond it are noise.
FAULTSIM_HD inline uint64_t whole_word(const Effect& effect, const Layout& layout, uint64_t word) {
  switch (effect.op) {
    case Op::random:
      return effect.random;
    case Op::zero:
      return 0;
    case Op::byte_shift:
      return shifted(word, effect.operand);
    case Op::set:
    case Op::add:
    case Op::scale:
    case Op::gaussian:
      return renewed(
          layout, word,
          changed(effect.op, number_of(layout, word), as_double(effect.operand), effect.random));
    default:
#ifdef __CUDA_ARCH__
      return word;
#else
      return own_word(effect, layout, word);
#endif
  }
}

template <class Word>
FAULTSIM_HD inline Word corrupt(const Effect& effect, const Layout& layout, Word word) {
  const Word operand = static_cast<Word>(effect.operand), mask = static_cast<Word>(effect.mask);
  switch (effect.op) {
    case Op::flip:
      return word ^ operand;
    case Op::stuck_at_0:
      return word & static_cast<Word>(~operand);
    case Op::stuck_at_1:
      return word | operand;
    case Op::replace:
      return operand;
    default: {
      const uint64_t made = whole_word(effect, layout, static_cast<uint64_t>(word) & layout.all());
      return static_cast<Word>((word & static_cast<Word>(~mask)) |
                               (static_cast<Word>(made) & mask));
    }
  }
}

}  // namespace faultsim
