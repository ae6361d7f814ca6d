// Instruction sets: some kernels are compiled once for each and chosen when the module loads.
#pragma once

namespace faultsim {

enum class Isa { baseline = 0, avx2 = 1, avx512 = 2 };

// The best set this processor runs, or the one FAULTSIM_ISA names. Throws std::invalid_argument
// where that is unknown or not available here.
Isa isa();
const char* isa_name();

}  // namespace faultsim
