// Compiled once for each instruction set, with FAULTSIM_ISA naming the namespace.
#include "rank_screen.h"

#include "float_words.h"

namespace faultsim {
namespace {

// The largest pattern that setting one exponent bit makes, 0 if there is none. If it is not finite,
// every other exponent bit was set before, so there is no second largest.
template <class F>
inline typename F::Stored raised(typename F::Stored word, const typename F::Stored* up,
                                 typename F::Stored largest) {
  typename F::Stored best = word;
#pragma GCC unroll 16
  for (int e = 0; e < F::exponent; ++e) {
    const typename F::Stored set = word | up[e];
    best = set > best ? set : best;
  }
  return best > word && best <= largest ? best : 0;
}

template <class F>
int screen_block(const void* weight, const void* grad, int n, const Screen& screen, int* passed) {
  using Word = typename F::Stored;
  using Real = typename F::Real;
  const Word* w = static_cast<const Word*>(weight);
  const Word* g = static_cast<const Word*>(grad);
  Word up[F::exponent];
  for (int e = 0; e < F::exponent; ++e) up[e] = static_cast<Word>(screen.up[e]);
  const Word largest = static_cast<Word>(screen.largest), scaled = static_cast<Word>(screen.scaled);
  const Real slope = static_cast<Real>(screen.slope), least = static_cast<Real>(screen.least);
  const Real bound_scale = static_cast<Real>(screen.bound_scale);
  const Real grad_scale = static_cast<Real>(screen.grad_scale);
  const Real enough = static_cast<Real>(1 - 0x1p-20);  // more slack than the rounding here needs
  Word best[kScreenBlock];
  for (int i = 0; i < n; ++i) best[i] = raised<F>(w[i] & kMagnitude<F>, up, largest);
  int pass[kScreenBlock];
  int any = 0;
  for (int i = 0; i < n; ++i) {
    const Real change = F::real(best[i]) + slope * F::real(w[i] & scaled);
    const Real bound = change < least ? least : change;
    const Real score = bound * bound_scale * (F::real(g[i] & kMagnitude<F>) * grad_scale);
    pass[i] = score < enough ? 0 : 1;  // NaN passes
    any |= pass[i];
  }
  if (any == 0) return 0;
  int count = 0;
  for (int i = 0; i < n; ++i)
    if (pass[i]) passed[count++] = i;
  return count;
}

}  // namespace

namespace FAULTSIM_ISA {
extern const Screens screens;
const Screens screens = {screen_block<F64>, screen_block<F32>, screen_block<F16>,
                         screen_block<BF16>};
}  // namespace FAULTSIM_ISA

}  // namespace faultsim
