#include <algorithm>
#include <stdexcept>
#include <string>
#include <unordered_set>
#include <utility>

#include "float_mode.h"
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
}

void Patch::strike() {
  if (struck_) return;
  const FloatMode mode;
  for (size_t i = 0; i < faults_.size(); ++i) {
    const PatchFault& fault = faults_[i];
    const Words& words = tensors_[fault.tensor];
    with_word(words.bytes, [&](auto zero) {
      strike_one<decltype(zero)>(words, fault.effect(), fault.index, saved_[i]);
    });
  }
  struck_ = true;
}

void Patch::restore() {
  if (!struck_) return;
  const FloatMode mode;
  std::vector<size_t> odd;
  for (size_t i = faults_.size(); i-- > 0;) {
    const Words& words = tensors_[faults_[i].tensor];
    with_word(words.bytes, [&](auto zero) {
      using Word = decltype(zero);
      Word& word = static_cast<Word*>(words.data)[words.offset(faults_[i].index)];
      const Word before = static_cast<Word>(saved_[i]);
      if (word == corrupt<Word>(faults_[i].effect(), words.layout, before))
        word = before;
      else
        odd.push_back(i);
    });
  }
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
