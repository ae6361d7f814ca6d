// The faults of a set in several tensors, and the words they replaced.
#pragma once
#include <cstdint>
#include <vector>

#include "bits.h"

namespace faultsim {

struct PatchFault {
  int64_t tensor;  // position in the tensors of the patch
  int64_t index;
  int64_t operand;
  Op op;
};

// Strikes and restores in one call each: nothing can come between that would leave a tensor half
// done, or struck without being known to be.
class Patch {
 public:
  Patch(std::vector<Words> tensors, std::vector<PatchFault> faults);

  bool struck() const { return struck_; }
  void strike();
  void restore();  // last fault first; does nothing unless struck

 private:
  std::vector<Words> tensors_;
  std::vector<PatchFault> faults_;
  std::vector<int64_t> saved_;
  bool struck_ = false;
};

}  // namespace faultsim
