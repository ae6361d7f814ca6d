// Word layouts and corruption operators, shared by host and device.
#pragma once
#include <cstdint>

#include "host_device.h"

namespace faultsim {

enum class Op : int { flip = 0, stuck_at_0 = 1, stuck_at_1 = 2, replace = 3 };

// The operand is the mask, or for replace the new word.
template <class Word>
FAULTSIM_HD inline Word corrupt(Op op, Word word, Word operand) {
  switch (op) {
    case Op::flip:
      return word ^ operand;
    case Op::stuck_at_0:
      return word & static_cast<Word>(~operand);
    case Op::stuck_at_1:
      return word | operand;
    default:
      return operand;
  }
}

constexpr int kMaxDims = 16;

// A strided tensor of words; indices are row-major over the logical sizes.
struct Words {
  void* data;
  int bytes;      // of one word: 1, 2, 4 or 8
  int64_t numel;  // of the tensor
  int dims;       // 0: contiguous
  int64_t sizes[kMaxDims];
  int64_t strides[kMaxDims];  // in words

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

// What one call does: n faults in array order. stride 0 broadcasts the operand.
struct Faults {
  const int64_t* index;
  const int64_t* operand;
  int64_t stride;
  int64_t n;
  Op op;
};

// Strikes one word; saved becomes the word before, sign-extended.
template <class Word>
FAULTSIM_HD inline void strike_one(const Words& words, Op op, int64_t index, int64_t operand,
                                   int64_t& saved) {
  Word* word = static_cast<Word*>(words.data) + words.offset(index);
  saved = *word;
  *word = corrupt<Word>(op, *word, static_cast<Word>(operand));
}

template <class Word>
FAULTSIM_HD inline void strike(const Words& words, const Faults& faults, int64_t i,
                               int64_t* saved) {
  strike_one<Word>(words, faults.op, faults.index[i], faults.operand[i * faults.stride], saved[i]);
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
