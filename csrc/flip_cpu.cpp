#include "flip.h"

namespace faultsim {
namespace {

constexpr int64_t kAhead = 24;  // words in flight: random faults are bound by memory latency

template <class Word>
void prefetch(const Words& words, const int64_t* index, int64_t i, int64_t n) {
  if (i < n) __builtin_prefetch(static_cast<Word*>(words.data) + words.offset(index[i]), 1);
}

}  // namespace

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
  with_word(words.bytes, [&](auto zero) {
    using Word = decltype(zero);
    for (int64_t i = 0; i < faults.n; ++i) {
      prefetch<Word>(words, faults.index, i + kAhead, faults.n);
      strike<Word>(words, faults, i, saved);
    }
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
