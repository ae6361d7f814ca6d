// The faults of a patch struck and restored in parallel; see patch.h.
#pragma once
#include "atomics.h"
#include "grid.h"
#include "patch.h"

namespace faultsim {

// A patch where the grid can read it: its tensors, and its faults sorted by word. A slot without a
// fault has a negative tensor.
struct PatchTables {
  const Words* tensors;
  const PatchFault* faults;
  int64_t n;
  int64_t* saved;
  // Where a restore notes the first fault whose word is neither as struck nor as before, and leaves
  // it; all bits are set where there is none. Null: every word is restored, whatever it is.
  uint64_t* changed;

  // Whether thread `at` is at the head of the faults of one word, and has them all to do.
  FAULTSIM_HD bool leads(int64_t at) const {
    return faults[at].tensor >= 0 && (at == 0 || !same_word(at - 1, at));
  }

  FAULTSIM_HD bool same_word(int64_t one, int64_t other) const {
    return faults[one].word == faults[other].word;
  }
};

struct StrikePatch {
  PatchTables patch;

  FAULTSIM_HD void operator()(int64_t at) const {
    if (at == 0 && patch.changed != nullptr) *patch.changed = ~uint64_t{0};
    if (!patch.leads(at)) return;
    switch (patch.tensors[patch.faults[at].tensor].bytes) {
      case 1:
        return strike_word<int8_t>(at);
      case 2:
        return strike_word<int16_t>(at);
      case 4:
        return strike_word<int32_t>(at);
      default:
        return strike_word<int64_t>(at);
    }
  }

  template <class Word>
  FAULTSIM_HD void strike_word(int64_t first) const {
    for (int64_t i = first; i < patch.n && patch.same_word(first, i); ++i) {
      const PatchFault& fault = patch.faults[i];
      const Words& words = patch.tensors[fault.tensor];
      strike_one<Word>(words, fault.effect(), fault.index, patch.saved[i]);
    }
  }
};

struct RestorePatch {
  PatchTables patch;

  FAULTSIM_HD void operator()(int64_t at) const {
    if (!patch.leads(at)) return;
    switch (patch.tensors[patch.faults[at].tensor].bytes) {
      case 1:
        return restore_word<int8_t>(at);
      case 2:
        return restore_word<int16_t>(at);
      case 4:
        return restore_word<int32_t>(at);
      default:
        return restore_word<int64_t>(at);
    }
  }

  template <class Word>
  FAULTSIM_HD void restore_word(int64_t at) const {
    const Words& words = patch.tensors[patch.faults[at].tensor];
    Word& word = static_cast<Word*>(words.data)[words.offset(patch.faults[at].index)];
    const Word before = static_cast<Word>(patch.saved[at]);
    if (patch.changed == nullptr || word == struck_word(at, words.layout, before))
      word = before;
    else if (word != before)
      fetch_min(patch.changed, static_cast<uint64_t>(at));
  }

  template <class Word>
  FAULTSIM_HD Word struck_word(int64_t first, const Layout& layout, Word word) const {
    for (int64_t i = first; i < patch.n && patch.same_word(first, i); ++i)
      word = corrupt<Word>(patch.faults[i].effect(), layout, word);
    return word;
  }
};

// As Patch, by launches alone.
template <class Grid>
class GridPatch {
 public:
  explicit GridPatch(const PatchTables& tables) : tables_(tables) {}

  bool struck() const { return struck_; }

  void strike(const Grid& grid);
  void restore(const Grid& grid);

 private:
  PatchTables tables_;
  bool struck_ = false;
};

template <class Grid>
void GridPatch<Grid>::strike(const Grid& grid) {
  if (struck_) return;
  grid.run(tables_.n, StrikePatch{tables_});
  struck_ = true;
}

template <class Grid>
void GridPatch<Grid>::restore(const Grid& grid) {
  if (!struck_) return;
  grid.run(tables_.n, RestorePatch{tables_});
  struck_ = false;
}

extern template class GridPatch<DeviceGrid>;

}  // namespace faultsim
