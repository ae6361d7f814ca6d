// IEEE arithmetic with subnormals for the current thread, whatever torch.set_flush_denormal says.
#pragma once
#ifdef __x86_64__
#include <xmmintrin.h>
#endif

namespace faultsim {

class FloatMode {
 public:
#ifdef __x86_64__
  FloatMode() : before_(_mm_getcsr()) { _mm_setcsr(before_ & ~0x8040u); }
  ~FloatMode() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#else
  FloatMode() {}
#endif
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;
};

}  // namespace faultsim
