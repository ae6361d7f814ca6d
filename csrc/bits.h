// Words in memory and faults on them, shared by host and device.
#pragma once
#include <cstdint>

#include "host_device.h"
#include "operators.h"

namespace faultsim {

constexpr int kMaxDims = 16;

// A strided tensor of words; indices are row-major over the logical sizes.
struct Words {
  void* data;
  int bytes;      // of one word: 1, 2, 4 or 8
  int64_t numel;  // of the tensor
  int dims;       // 0: contiguous
  int64_t sizes[kMaxDims];
  int64_t strides[kMaxDims];  // in words
  Layout layout = {};

  FAULTSIM_HD int64_t offset(int64_t index) const {
    if (dims == 0) return index;
    int64_t where = 0;
    for (int d = dims - 1; d >= 0; --d) {
      where += index % sizes[d] * strides[d];
      index /= sizes[d];
    }
    return where;
  }
};

// What one call does: n faults in array order. A column of stride 0 is the same for all faults.
struct Faults {
  const int64_t* index;
  const int64_t* operand;
  int64_t stride;
  int64_t n;
  Op op;
  const int64_t* mask = nullptr;  // both null: all bits, and no random numbers
  const int64_t* random = nullptr;
  int64_t mask_stride = 0;
  int64_t random_stride = 0;
  const Own* own = nullptr;

  FAULTSIM_HD Effect effect(int64_t i) const {
    return {op, operand[i * stride], mask == nullptr ? -1 : mask[i * mask_stride],
            random == nullptr ? 0 : static_cast<uint64_t>(random[i * random_stride]), own};
  }
};

// Strikes one word; saved becomes the word before, sign-extended.
template <class Word>
FAULTSIM_HD inline void strike_one(const Words& words, const Effect& effect, int64_t index,
                                   int64_t& saved) {
  Word* word = static_cast<Word*>(words.data) + words.offset(index);
  saved = *word;
  *word = corrupt<Word>(effect, words.layout, *word);
}

template <class Word>
FAULTSIM_HD inline void strike(const Words& words, const Faults& faults, int64_t i,
                               int64_t* saved) {
  strike_one<Word>(words, faults.effect(i), faults.index[i], saved[i]);
}

// Runs body with a value of the signed word type of the given size.
template <class Body>
void with_word(int bytes, Body body) {
  switch (bytes) {
    case 1:
      return body(int8_t{});
    case 2:
      return body(int16_t{});
    case 4:
      return body(int32_t{});
    default:
      return body(int64_t{});
  }
}

}  // namespace faultsim
