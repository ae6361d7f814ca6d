#include "isa.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace faultsim {
namespace {

constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};

Isa best() {
#ifdef __x86_64__
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::baseline;
}

Isa choose() {
  const Isa available = best();
  const char* wanted = std::getenv("FAULTSIM_ISA");
  if (wanted == nullptr || *wanted == '\0') return available;
  for (int i = 0; i <= static_cast<int>(available); ++i)
    if (std::string(wanted) == kNames[i]) return static_cast<Isa>(i);
  throw std::invalid_argument("FAULTSIM_ISA=" + std::string(wanted) +
                              " is not available here: use baseline, avx2 or avx512, up to " +
                              kNames[static_cast<int>(available)]);
}

}  // namespace

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

const char* isa_name() { return kNames[static_cast<int>(isa())]; }

}  // namespace faultsim
