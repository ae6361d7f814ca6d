// The faults of a set in several tensors, and the words they replaced.
#pragma once
#include <cstdint>
#include <vector>

#include "bits.h"

namespace faultsim {

struct PatchFault {
  int64_t index;
  int64_t operand;
  int32_t tensor;  // position in the tensors of the patch
  Op op;
  int64_t mask = -1;
  uint64_t random = 0;
  const Own* own = nullptr;
  uintptr_t word = 0;  // its address, once sorted by it

  FAULTSIM_HD Effect effect() const { return {op, operand, mask, random, own}; }
};

// Throws std::out_of_range where a fault is outside its tensor.
void check_patch(const std::vector<Words>& tensors, const std::vector<PatchFault>& faults);

// By address, for tensors may share storage; the faults of one word stay in their order.
void sort_by_word(const std::vector<Words>& tensors, std::vector<PatchFault>& faults);

// Strikes and restores in one call each: nothing can come between that would leave a tensor half
// done, or struck without being known to be.
class Patch {
 public:
  Patch(std::vector<Words> tensors, std::vector<PatchFault> faults);

  bool struck() const { return struck_; }
  void strike();

  // Writes back the words that are as the strike left them, last fault first; does nothing unless
  // struck. What somebody wrote meanwhile stays.
  void restore();

  // The first fault whose word the last restore found to be neither as struck nor as before, or -1.
  int64_t changed() const { return changed_; }

 private:
  size_t run_end(size_t first) const;
  template <class Body>
  void visit(size_t run, Body body);
  int64_t first_changed(const std::vector<size_t>& odd) const;

  std::vector<Words> tensors_;
  std::vector<PatchFault> faults_;
  std::vector<int64_t> saved_;
  std::vector<size_t> runs_;  // where each begins that is struck at once, and the end
  int64_t changed_ = -1;
  bool struck_ = false;
};

}  // namespace faultsim
