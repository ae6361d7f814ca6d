// Words are visited in blocks. A screen, in the words' own precision, drops every word whose
// largest possible change cannot reach the k best so far; the few left are scored in double, bit
// by bit. Chunks of blocks are visited in a scattered order, so that ascending scores are no worse
// than random ones.
#include <cmath>
#include <limits>
#include <numeric>

#include "float_mode.h"
#include "float_words.h"
#include "isa.h"
#include "parallel.h"
#include "rank.h"
#include "rank_screen.h"

namespace faultsim {
namespace {

constexpr int64_t kWordsPerThread = 65536;  // fewer are not worth a thread

// Words visited in a row: long enough for the processor to read ahead, short enough that ascending
// scores in the first chunk do not matter. A multiple of kScreenBlock.
int64_t chunk_size(int64_t n) {
  return std::clamp<int64_t>(n / 1024, 1024, 16384) / kScreenBlock * kScreenBlock;
}

const Screens& screens() {
#ifdef __x86_64__
  if (isa() == Isa::avx512) return avx512::screens;
  if (isa() == Isa::avx2) return avx2::screens;
#endif
  return baseline::screens;
}

// One thread's share of the words, and the best bits in it.
template <class F>
class Ranking {
  using Word = typename F::Stored;

 public:
  Ranking(const RankJob& job, ScreenFn screen)
      : job_(job),
        weight_(static_cast<const Word*>(job.weight)),
        grad_(static_cast<const Word*>(job.grad)),
        run_screen_(screen),
        top_(job.k) {
    constexpr Word infinity = kInfinity<F>, fraction = kMagnitude<F> & ~kInfinity<F>;
    const Word bits = static_cast<Word>(job.bits), mantissa = bits & fraction;
    const bool clears = bits & infinity, negates = bits & ~kMagnitude<F>;
    for (int e = 0; e < F::exponent; ++e) {
      const Word bit = static_cast<Word>(Word{1} << (F::mantissa + e));
      screen_.up[e] = job.direction == Direction::one_to_zero ? 0 : bits & bit;
    }
    screen_.largest = job.finite_only ? infinity - 1 : kMagnitude<F>;
    const int64_t top = mantissa ? int64_t{1} << (63 - __builtin_clzll(mantissa)) : 0;
    tiny_ = value<F>(static_cast<Word>(top));
    screen_.scaled = clears || negates ? kMagnitude<F> : infinity;
    screen_.slope = negates ? 2 : clears ? 1 : std::ldexp(static_cast<double>(top), -F::mantissa);
  }

  void run(int64_t begin, int64_t end) {
    const FloatMode mode;
    const int64_t size = chunk_size(end - begin), chunks = (end - begin + size - 1) / size;
    int64_t step = std::max<int64_t>(1, std::llround(chunks * 0.6180339887498949));
    while (std::gcd(step, chunks) > 1) ++step;
    for (int64_t visit = 0, chunk = 0; visit < chunks; ++visit, chunk = (chunk + step) % chunks) {
      const int64_t first = begin + chunk * size, last = std::min(end, first + size);
      for (int64_t at = first; at < last; at += kScreenBlock)
        block(at, static_cast<int>(std::min<int64_t>(kScreenBlock, last - at)));
    }
  }

  std::vector<Ranked> take() { return top_.take(); }
  int64_t nan() const { return nan_; }

 private:
  void block(int64_t at, int n) {
    if (set_threshold()) {
      int passed[kScreenBlock];
      const int count = run_screen_(weight_ + at, grad_ + at, n, screen_, passed);
      for (int i = 0; i < count; ++i) score_word(at + passed[i]);
      return;
    }
    // No threshold that the screen could use. Once k scores of zero stand at lower indices, words
    // without gradient cannot enter any more.
    const bool skip_zero = top_.full() && job_.finite_only && at > top_.worst().index;
    for (int i = 0; i < n; ++i)
      if (!skip_zero || (grad_[at + i] & kMagnitude<F>) != 0) score_word(at + i);
  }

  // Scales the screen to the worst of the k best scores; false while that is of no use to it.
  bool set_threshold() {
    if (!top_.full()) return false;
    const double threshold = std::min(top_.worst().score, std::numeric_limits<double>::max());
    if (threshold == threshold_) return usable_;
    threshold_ = threshold;
    constexpr bool wide = sizeof(typename F::Real) == 8;
    constexpr double normal = wide ? 0x1p-1022 : 0x1p-126;
    // Both factors of the screen stay normal numbers, for speed too: high thresholds come from
    // high bounds, low ones from gradients.
    screen_.bound_scale = threshold <= 1 ? 0x1p-9 : wide ? 0x1p-512 : 0x1p-64;
    screen_.grad_scale = std::max(1 / (threshold * screen_.bound_scale), normal);
    screen_.least = std::max(tiny_, normal / screen_.bound_scale);
    return usable_ = threshold * screen_.bound_scale > normal;
  }

  void score_word(int64_t at) {
    const Word word = weight_[at];
    const double grad = value<F>(grad_[at]), before = value<F>(word);
    if (std::isnan(grad)) nan_ = nan_ < 0 ? at : std::min(nan_, at);
    const uint64_t pattern = static_cast<uint64_t>(word);
    uint64_t left = job_.direction == Direction::both          ? job_.bits
                    : job_.direction == Direction::zero_to_one ? job_.bits & ~pattern
                                                               : job_.bits & pattern;
    while (left != 0) {  // high bits first: they raise the threshold
      const int bit = 63 - __builtin_clzll(left);
      left ^= uint64_t{1} << bit;
      const double after = value<F>(static_cast<Word>(pattern ^ uint64_t{1} << bit));
      const bool entered = offer(grad, before, after, at, bit);
      if (!entered && bit < F::mantissa) return;  // lower bits change less
    }
  }

  // Whether the bit reaches the threshold.
  bool offer(double grad, double before, double after, int64_t at, int bit) {
    const double change = after - before;
    double score = std::fabs(grad * change);
    if (top_.full() && score < top_.worst().score) return false;  // a NaN goes on
    if (!std::isfinite(before) || !std::isfinite(after)) {
      if (job_.finite_only) return true;
      score = INFINITY;
    } else if (std::isnan(score)) {
      score = 0;  // an infinite gradient without a change, or a change that overflows without one
    }
    top_.offer({score, at, bit});
    return true;
  }

  const RankJob& job_;
  const Word* weight_;
  const Word* grad_;
  ScreenFn run_screen_;
  Top top_;
  Screen screen_{};
  double tiny_;  // the largest change of a subnormal's mantissa
  double threshold_ = -1;
  bool usable_ = false;
  int64_t nan_ = -1;
};

template <class F>
std::vector<Ranked> rank(const RankJob& job, ScreenFn screen, int64_t* nan) {
  const int threads =
      static_cast<int>(std::clamp<int64_t>(job.n / kWordsPerThread, 1, job.threads));
  std::vector<Ranking<F>> parts(threads, Ranking<F>(job, screen));
  parallel_for(job.n, threads,
               [&](int part, int64_t begin, int64_t end) { parts[part].run(begin, end); });
  std::vector<Ranked> best;
  *nan = -1;
  for (Ranking<F>& part : parts) {
    const std::vector<Ranked> own = part.take();
    best.insert(best.end(), own.begin(), own.end());
    if (*nan < 0) *nan = part.nan();
  }
  std::sort(best.begin(), best.end());
  if (static_cast<int64_t>(best.size()) > job.k) best.resize(job.k);
  return best;
}

}  // namespace

std::vector<Ranked> rank_bits(const RankJob& job, int64_t* nan) {
  switch (job.format) {
    case Float::f64:
      return rank<F64>(job, screens().f64, nan);
    case Float::f32:
      return rank<F32>(job, screens().f32, nan);
    case Float::f16:
      return rank<F16>(job, screens().f16, nan);
    default:
      return rank<BF16>(job, screens().bf16, nan);
  }
}

}  // namespace faultsim
