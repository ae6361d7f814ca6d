// Words struck block by block: gathered, changed, scattered. Loads of a block wait for memory
// together, where one fault after another would wait for its own; and an operator of others is
// called once for all of them.
#pragma once
#include <algorithm>
#include <cstdint>

#include "bits.h"

namespace faultsim {

constexpr int64_t kGathered = 256;  // words of a block: its columns stay in the first cache

// What an operator of others makes of n words; effect(i) is the fault of each.
template <class Word, class EffectOf>
void own_words(const Own& own, const Layout& layout, int64_t n, const Word* before, Word* after,
               EffectOf effect) {
  const auto bits = [&](int64_t i) { return static_cast<uint64_t>(before[i]) & layout.all(); };
  const auto mix = [&](int64_t i, uint64_t made) {
    const Word mask = static_cast<Word>(effect(i).mask);
    after[i] = static_cast<Word>((before[i] & static_cast<Word>(~mask)) |
                                 (static_cast<Word>(made) & mask));
  };
  if (own.of_words != nullptr) {
    uint64_t words[kGathered], operands[kGathered], random[kGathered];
    for (int64_t i = 0; i < n; ++i) {
      const Effect fault = effect(i);
      words[i] = bits(i);
      operands[i] = static_cast<uint64_t>(fault.operand) & layout.all();
      random[i] = fault.random;
    }
    own.of_words(words, operands, random, n);
    for (int64_t i = 0; i < n; ++i) mix(i, words[i]);
    return;
  }
  double numbers[kGathered], operands[kGathered], random[kGathered];
  for (int64_t i = 0; i < n; ++i) {
    const Effect fault = effect(i);
    numbers[i] = number_of(layout, bits(i));
    operands[i] = as_double(fault.operand);
    random[i] = uniform_of(fault.random);
  }
  own.of_values(numbers, operands, random, n);
  for (int64_t i = 0; i < n; ++i) mix(i, renewed(layout, bits(i), numbers[i]));
}

// What faults of one operator, or of built-in ones, make of up to kGathered words.
template <class Word, class EffectOf>
void make_words(const Own* own, const Layout& layout, int64_t n, const Word* before, Word* after,
                EffectOf effect) {
  if (own != nullptr) return own_words<Word>(*own, layout, n, before, after, effect);
  for (int64_t i = 0; i < n; ++i) after[i] = corrupt<Word>(effect(i), layout, before[i]);
}

// Strikes up to kGathered words in array order; address(i) is where each is.
template <class Word, class AddressOf, class EffectOf>
void strike_gathered(const Own* own, const Layout& layout, int64_t n, AddressOf address,
                     EffectOf effect, int64_t* saved) {
  Word* words[kGathered];
  Word before[kGathered], after[kGathered];
  for (int64_t i = 0; i < n; ++i) before[i] = *(words[i] = address(i));
  make_words<Word>(own, layout, n, before, after, effect);
  for (int64_t i = 0; i < n; ++i) {
    const Word now = *words[i];
    saved[i] = now;
    // It is another where an earlier fault of the block struck the same word.
    *words[i] = now == before[i] ? after[i] : corrupt<Word>(effect(i), layout, now);
  }
}

// Gives back up to kGathered words, last fault first, that are as they were struck; odd(i) where
// one is not.
template <class Word, class AddressOf, class EffectOf, class Odd>
void restore_gathered(const Own* own, const Layout& layout, int64_t n, AddressOf address,
                      EffectOf effect, const int64_t* saved, Odd odd) {
  Word* words[kGathered];
  Word before[kGathered], struck[kGathered];
  for (int64_t i = 0; i < n; ++i) {
    words[i] = address(i);
    before[i] = static_cast<Word>(saved[i]);
  }
  make_words<Word>(own, layout, n, before, struck, effect);
  for (int64_t i = n; i-- > 0;) {
    if (*words[i] == struck[i])
      *words[i] = before[i];
    else
      odd(i);
  }
}

}  // namespace faultsim
