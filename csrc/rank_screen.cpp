// Compiled once for each instruction set, with FAULTSIM_ISA naming the namespace.
#include "rank_screen.h"

#include <algorithm>
#include <numeric>
#include <type_traits>

#include "float_words.h"

namespace faultsim {
namespace {

constexpr int kGroup = 32;  // words of a block looked through together

template <class F>
constexpr int kLower = F::mantissa + F::exponent - 15;  // bits that are not looked at

template <class F>
constexpr int16_t kOctave = 1 << (15 - F::exponent);

template <class F>
constexpr int16_t kLimit = 0x8000 - kOctave<F>;  // patterns from here on are not finite

// The largest pattern that setting one exponent bit makes; where the top bit is clear, that.
template <class F, bool usual>
inline int16_t raised(int16_t word, const Screen& screen) {
  if constexpr (usual) return word | screen.top;
  int16_t best = word | screen.up[0];
#pragma GCC unroll 16
  for (int e = 1; e < F::exponent; ++e)
    best = std::max(best, static_cast<int16_t>(word | screen.up[e]));
  return best;
}

// Change and gradient in the format whose patterns are added. The gradients of half precision are
// often subnormal, where patterns are no logarithms.
template <class F>
inline uint16_t log_of_change(int16_t change) {
  if constexpr (std::is_same_v<F, F16>) return static_cast<uint16_t>((change >> 3) + (112 << 7));
  return static_cast<uint16_t>(change);
}

template <class F>
inline uint16_t log_of_grad(int16_t grad) {
  if constexpr (std::is_same_v<F, F16>)
    return static_cast<uint16_t>(as<uint32_t>(F16::finite(grad)) >> 16);
  return static_cast<uint16_t>(grad);
}

// Returns -1 where words are not as usual; else how many pass. `united` becomes the union of words.
template <class F, bool finite_only, bool usual>
int screen_block(const void* weight, const void* grad, int n, const Screen& given, int16_t* united,
                 int* passed) {
  const auto* w = static_cast<const typename F::Stored*>(weight);
  const auto* g = static_cast<const typename F::Stored*>(grad);
  const Screen screen = given;  // a copy that no store below can change
  // Changes are lifted by an octave, so that those that are not finite become negative. If setting
  // a bit makes one, every other exponent bit was set before, and nothing is missed.
  constexpr int lift = finite_only ? kOctave<F> : 0;
  uint16_t sums[kScreenBlock];
  uint16_t largest = 0;
  int16_t peak = 0, all = 0;
  for (int i = 0; i < n; ++i) {
    const int16_t word = static_cast<int16_t>(w[i] >> kLower<F>) & 0x7FFF;
    const int16_t slope = static_cast<int16_t>(g[i] >> kLower<F>) & 0x7FFF;
    const int16_t up = static_cast<int16_t>(raised<F, usual>(word, screen) + lift);
    const int16_t other = static_cast<int16_t>((word & screen.scaled) + (screen.slope + lift));
    const int16_t change = std::max(std::max(up, other), static_cast<int16_t>(screen.tiny + lift));
    const uint16_t sum = log_of_change<F>(change) + log_of_grad<F>(slope);
    const int16_t odd = finite_only ? slope : std::max(slope, up);
    const int16_t most = std::max(word, static_cast<int16_t>(odd - kOctave<F>));
    sums[i] = sum;
    largest = sum > largest ? sum : largest;
    peak = most > peak ? most : peak;
    all |= word;
  }
  *united = all;
  if (usual && (all & screen.top) != 0) return -1;
  if (peak >= kLimit<F> - kOctave<F>) {  // also words with changes beyond the largest number
    std::iota(passed, passed + n, 0);
    return n;
  }
  if (largest < screen.least) return 0;
  std::fill(sums + n, sums + (n + kGroup - 1) / kGroup * kGroup, uint16_t{0});
  int count = 0;
  for (int at = 0; at < n; at += kGroup) {
    int any = 0;
    for (int i = at; i < at + kGroup; ++i) any |= sums[i] >= screen.least ? 1 : 0;
    if (any == 0) continue;
    for (int i = at; i < at + kGroup; ++i)
      if (sums[i] >= screen.least) passed[count++] = i;
  }
  return count;
}

template <class F, bool finite_only>
int screen_as(const void* weight, const void* grad, int n, const Screen& screen, bool* usual,
              int* passed) {
  int16_t united;
  int count = -1;
  if (*usual) count = screen_block<F, finite_only, true>(weight, grad, n, screen, &united, passed);
  if (count < 0)
    count = screen_block<F, finite_only, false>(weight, grad, n, screen, &united, passed);
  *usual = (united & screen.top) == 0;
  return count;
}

template <class F>
int screen_words(const void* weight, const void* grad, int n, const Screen& screen, bool* usual,
                 int* passed) {
  const auto run = screen.finite_only ? screen_as<F, true> : screen_as<F, false>;
  return run(weight, grad, n, screen, usual, passed);
}

}  // namespace

namespace FAULTSIM_ISA {
extern const Screens screens;
const Screens screens = {screen_words<F64>, screen_words<F32>, screen_words<F16>,
                         screen_words<BF16>};
}  // namespace FAULTSIM_ISA

}  // namespace faultsim
