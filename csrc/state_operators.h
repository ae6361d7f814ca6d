// Operators on the words of a hidden state.
#pragma once
#include "operators.h"
#include "scan.h"

namespace faultsim {

FAULTSIM_HD inline uint64_t state_word(uint64_t word, int bits, const StateFault& fault) {
  const bool is_double = bits == 64;
  const Layout layout{static_cast<uint8_t>(bits), static_cast<uint8_t>(is_double ? 11 : 8), true,
                      Special::ieee, static_cast<int16_t>(is_double ? 1023 : 127)};
  Effect effect{static_cast<Op>(fault.op), fault.operand, -1, fault.random};
#ifndef __CUDA_ARCH__
  effect.own = own_operator(effect.op);
#endif
  return whole_word(effect, layout, word & layout.all());
}

}  // namespace faultsim
