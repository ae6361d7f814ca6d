#include <algorithm>
#include <deque>
#include <stdexcept>
#include <string>

#include "flip.h"
#include "float_mode.h"
#include "gather.h"

namespace faultsim {
namespace {

std::deque<Own> own_operators;  // whose places faults hold

constexpr int64_t kAhead = 24;  // words in flight: random faults are bound by memory latency

template <class Word>
void prefetch(const Words& words, const int64_t* index, int64_t i, int64_t n) {
  if (i < n) __builtin_prefetch(static_cast<Word*>(words.data) + words.offset(index[i]), 1);
}

}  // namespace

const Own* own_operator(Op op) {
  const int number = static_cast<int>(op) - kOwn;
  if (number < 0) return nullptr;
  if (static_cast<size_t>(number) >= own_operators.size())
    throw std::invalid_argument("no operator has the number " + std::to_string(number + kOwn));
  return &own_operators[number];
}

void define_operator(int number, const Own& own) {
  const auto at = static_cast<size_t>(number - kOwn);
  while (own_operators.size() <= at) own_operators.emplace_back();
  own_operators[at] = own;
}

int64_t first_out_of_bounds(const int64_t* index, int64_t n, int64_t numel) {
  const uint64_t limit = static_cast<uint64_t>(numel);
  for (int64_t i = 0; i < n; ++i)
    if (static_cast<uint64_t>(index[i]) >= limit) return i;
  return -1;
}

void read_words(const Words& words, const int64_t* index, int64_t n, int64_t* out) {
  with_word(words.bytes, [&](auto zero) {
    using Word = decltype(zero);
    for (int64_t i = 0; i < n; ++i) {
      prefetch<Word>(words, index, i + kAhead, n);
      out[i] = static_cast<const Word*>(words.data)[words.offset(index[i])];
    }
  });
}

void corrupt_words(const Words& words, const Faults& faults, int64_t* saved) {
  const FloatMode mode;
  with_word(words.bytes, [&](auto zero) {
    using Word = decltype(zero);
    Word* const data = static_cast<Word*>(words.data);
    for (int64_t first = 0; first < faults.n; first += kGathered)
      strike_gathered<Word>(
          faults.own, words.layout, std::min(kGathered, faults.n - first),
          [&](int64_t i) { return data + words.offset(faults.index[first + i]); },
          [&](int64_t i) { return faults.effect(first + i); }, saved + first);
  });
}

void restore_words(const Words& words, const int64_t* index, int64_t n, const int64_t* saved) {
  with_word(words.bytes, [&](auto zero) {
    using Word = decltype(zero);
    for (int64_t i = n - 1; i >= 0; --i)
      static_cast<Word*>(words.data)[words.offset(index[i])] = static_cast<Word>(saved[i]);
  });
}

}  // namespace faultsim
