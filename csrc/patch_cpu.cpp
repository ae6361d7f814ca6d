#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <utility>

#include "float_mode.h"
#include "gather.h"
#include "patch.h"

namespace faultsim {

void check_patch(const std::vector<Words>& tensors, const std::vector<PatchFault>& faults) {
  for (const PatchFault& fault : faults) {
    const uint64_t limit = static_cast<uint64_t>(tensors.at(fault.tensor).numel);
    if (static_cast<uint64_t>(fault.index) >= limit)
      throw std::out_of_range("index " + std::to_string(fault.index) + " is outside a tensor of " +
                              std::to_string(limit) + " elements");
  }
}

void sort_by_word(const std::vector<Words>& tensors, std::vector<PatchFault>& faults) {
  for (PatchFault& fault : faults) {
    const Words& words = tensors[fault.tensor];
    fault.word = reinterpret_cast<uintptr_t>(words.data) + words.offset(fault.index) * words.bytes;
  }
  std::stable_sort(faults.begin(), faults.end(),
                   [](const PatchFault& a, const PatchFault& b) { return a.word < b.word; });
}

Patch::Patch(std::vector<Words> tensors, std::vector<PatchFault> faults)
    : tensors_(std::move(tensors)), faults_(std::move(faults)), saved_(faults_.size()) {
  check_patch(tensors_, faults_);
  runs_.push_back(0);
  while (runs_.back() < faults_.size()) runs_.push_back(run_end(runs_.back()));
}

// After faults of one tensor, all built in or all of one operator of others.
size_t Patch::run_end(size_t first) const {
  const size_t most = std::min(faults_.size(), first + kGathered);
  size_t end = first + 1;
  while (end < most && faults_[end].tensor == faults_[first].tensor &&
         faults_[end].own == faults_[first].own)
    ++end;
  return end;
}

template <class Body>
void Patch::visit(size_t run, Body body) {
  const size_t first = runs_[run];
  const Words& words = tensors_[faults_[first].tensor];
  with_word(words.bytes, [&](auto zero) {
    using Word = decltype(zero);
    Word* const data = static_cast<Word*>(words.data);
    body(
        zero, first, words.layout, static_cast<int64_t>(runs_[run + 1] - first),
        [&, data](int64_t i) { return data + words.offset(faults_[first + i].index); },
        [&](int64_t i) { return faults_[first + i].effect(); });
  });
}

void Patch::strike() {
  if (struck_) return;
  const FloatMode mode;
  for (size_t run = 0; run + 1 < runs_.size(); ++run)
    visit(run,
          [&](auto zero, size_t first, const Layout& layout, int64_t n, auto address, auto effect) {
            strike_gathered<decltype(zero)>(faults_[first].own, layout, n, address, effect,
                                            &saved_[first]);
          });
  struck_ = true;
}

void Patch::restore() {
  if (!struck_) return;
  const FloatMode mode;
  std::vector<size_t> odd;
  for (size_t run = runs_.size() - 1; run-- > 0;)
    visit(run,
          [&](auto zero, size_t first, const Layout& layout, int64_t n, auto address, auto effect) {
            restore_gathered<decltype(zero)>(faults_[first].own, layout, n, address, effect,
                                             &saved_[first],
                                             [&](int64_t i) { odd.push_back(first + i); });
          });
  changed_ = first_changed(odd);
  struck_ = false;
}

// What a word was before is known by the first of its faults.
int64_t Patch::first_changed(const std::vector<size_t>& odd) const {
  std::unordered_set<const void*> seen;
  for (auto i = odd.rbegin(); i != odd.rend(); ++i) {
    const Words& words = tensors_[faults_[*i].tensor];
    bool is_changed = false;
    with_word(words.bytes, [&](auto zero) {
      using Word = decltype(zero);
      const Word* word = static_cast<const Word*>(words.data) + words.offset(faults_[*i].index);
      is_changed = seen.insert(word).second && *word != static_cast<Word>(saved_[*i]);
    });
    if (is_changed) return static_cast<int64_t>(*i);
  }
  return -1;
}

}  // namespace faultsim
