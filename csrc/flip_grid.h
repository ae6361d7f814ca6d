// Corrupt, save and restore words in parallel; see flip.h for what they do.
//
// Indices come sorted, stably, with the place of each in the array (`order`): the thread at the
// head of a run of equal indices does the whole run in array order, the others nothing. What cannot
// be done is skipped and noted in a flag that the host reads when it synchronises.
#pragma once
#include "atomics.h"
#include "bits.h"
#include "grid.h"

namespace faultsim {

enum Refused : int32_t { kBadIndex = 1, kWideMask = 2 };

FAULTSIM_HD inline bool is_inside(const Words& words, int64_t index, int32_t* flag) {
  if (static_cast<uint64_t>(index) < static_cast<uint64_t>(words.numel)) return true;
  fetch_or(flag, kBadIndex);
  return false;
}

// Whether the bits of the effect are those of the word, signed or unsigned.
template <class Word>
FAULTSIM_HD inline bool fits(const Effect& effect, int32_t* flag) {
  constexpr int bits = 8 * sizeof(Word);
  const int64_t pattern = effect.op <= Op::replace ? effect.operand : effect.mask;
  const int64_t above = bits == 64 ? 0 : pattern >> (bits - 1);
  if (above >= -1 && above <= 1) return true;
  fetch_or(flag, kWideMask);
  return false;
}

template <class Word>
struct ReadWords {
  Words words;
  const int64_t* index;
  int64_t* out;
  int32_t* flag;

  FAULTSIM_HD void operator()(int64_t i) const {
    out[i] = is_inside(words, index[i], flag)
                 ? static_cast<const Word*>(words.data)[words.offset(index[i])]
                 : 0;
  }
};

// `saved` holds the words from before all faults already, read in the order of the array: so all of
// them need not be scattered, but only those of further faults on a word.
template <class Word>
struct CorruptWords {
  Words words;
  Faults faults;  // sorted indices, operands as they were
  const int64_t* order;
  int64_t* saved;
  int32_t* flag;

  FAULTSIM_HD void operator()(int64_t at) const {
    const int64_t first = at, index = faults.index[at];
    if ((at > 0 && faults.index[at - 1] == index) || !is_inside(words, index, flag)) return;
    Word& target = static_cast<Word*>(words.data)[words.offset(index)];
    Word word = target;
    for (; at < faults.n && faults.index[at] == index; ++at) {
      const int64_t i = order[at];
      const Effect effect = faults.effect(i);
      if (at > first) saved[i] = word;
      if (fits<Word>(effect, flag)) word = corrupt<Word>(effect, words.layout, word);
    }
    target = word;
  }
};

// The first fault of a run saved the word from before them all.
template <class Word>
struct RestoreWords {
  Words words;
  const int64_t* index;
  const int64_t* order;
  const int64_t* saved;
  int32_t* flag;

  FAULTSIM_HD void operator()(int64_t at) const {
    if (at > 0 && index[at - 1] == index[at]) return;
    if (is_inside(words, index[at], flag))
      static_cast<Word*>(words.data)[words.offset(index[at])] = static_cast<Word>(saved[order[at]]);
  }
};

// Every pointer is one that the grid can read.
template <class Grid>
struct GridWords {
  Grid grid;
  Words words;
  int32_t* flag;

  void read(const int64_t* index, int64_t n, int64_t* out) const;
  void corrupt(const Faults& faults, const int64_t* order, int64_t* saved) const;
  void restore(const int64_t* index, const int64_t* order, int64_t n, const int64_t* saved) const;
};

template <class Grid>
void GridWords<Grid>::read(const int64_t* index, int64_t n, int64_t* out) const {
  with_word(words.bytes,
            [&](auto zero) { grid.run(n, ReadWords<decltype(zero)>{words, index, out, flag}); });
}

template <class Grid>
void GridWords<Grid>::corrupt(const Faults& faults, const int64_t* order, int64_t* saved) const {
  with_word(words.bytes, [&](auto zero) {
    grid.run(faults.n, CorruptWords<decltype(zero)>{words, faults, order, saved, flag});
  });
}

template <class Grid>
void GridWords<Grid>::restore(const int64_t* index, const int64_t* order, int64_t n,
                              const int64_t* saved) const {
  with_word(words.bytes, [&](auto zero) {
    grid.run(n, RestoreWords<decltype(zero)>{words, index, order, saved, flag});
  });
}

extern template struct GridWords<DeviceGrid>;

}  // namespace faultsim
