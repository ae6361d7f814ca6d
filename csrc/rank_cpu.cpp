// Words are visited in blocks. A screen, in 16-bit integers, drops every word whose largest
// possible change cannot reach the k best so far; the few left are scored in double, bit by bit. A
// scattered sample of the blocks comes first, so that ascending scores are little worse than random
// ones; the rest follows in the order of memory.
#include <cmath>
#include <functional>

#include "float_mode.h"
#include "isa.h"
#include "parallel.h"
#include "rank.h"
#include "rank_score.h"
#include "rank_screen.h"
#include "scatter.h"

namespace faultsim {
namespace {

constexpr int64_t kWordsPerThread = 65536;  // fewer are not worth a thread

constexpr int16_t kSignBit = -0x8000;

constexpr int64_t kSampling = 16;  // one block in so many is visited first

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
    constexpr int width = F::mantissa + F::exponent, octave = 1 << (15 - F::exponent);
    const uint64_t exponent = job.bits & kInfinity<F>;
    const uint64_t mantissa = job.bits & ((uint64_t{1} << F::mantissa) - 1);
    const bool clears = exponent != 0, negates = job.bits >> width & 1;
    const bool sets = clears && job.direction != Direction::one_to_zero;
    screen_.top = kSignBit;
    for (int e = 0; e < F::exponent; ++e) {
      screen_.up[e] = sets && exponent >> (F::mantissa + e) & 1 ? octave << e : kSignBit;
      screen_.top = std::max(screen_.top, screen_.up[e]);
    }
    const int fill = mantissa != 0 ? 63 - __builtin_clzll(mantissa) : 0;
    screen_.tiny = static_cast<int16_t>(uint64_t{mantissa != 0} << fill >> (width - 15));
    screen_.scaled = static_cast<int16_t>(clears || negates ? 0x7FFF : 0x8000 - octave);
    const int octaves = negates ? 1 : clears ? 0 : fill - F::mantissa;
    screen_.slope = static_cast<int16_t>(octaves * octave);
    screen_.finite_only = job.finite_only;
  }

  void run(int64_t begin, int64_t end) {
    const FloatMode mode;
    const int64_t blocks = (end - begin + kScreenBlock - 1) / kScreenBlock;
    const int64_t samples = (blocks + kSampling - 1) / kSampling;
    const int64_t step = scatter_step(samples);
    find_floor(begin, end);
    for (int64_t visit = 0, at = 0; visit < samples; ++visit, at = (at + step) % samples)
      block(begin + at * kSampling * kScreenBlock, end);
    for (int64_t at = 0; at < blocks; ++at)
      if (at % kSampling != 0) block(begin + at * kScreenBlock, end);
  }

  std::vector<Ranked> take() { return top_.take(); }
  int64_t nan() const { return nan_; }

 private:
  // A score that k flips reach or more, from one bit of a few words: without it, every bit of the
  // first block would be scored.
  void find_floor(int64_t begin, int64_t end) {
    const int64_t words = std::min(end - begin, std::max<int64_t>(kScreenBlock, 8 * job_.k));
    if (job_.k > words / 4) return;
    RankJob telling = job_;
    telling.bits = telling_bit<F>(job_.bits);
    std::vector<double> scores;
    scores.reserve(words);
    for (int64_t at = begin; at < begin + words; ++at)
      visit_bits<F>(
          telling, weight_[at], grad_[at], [] { return 0; },
          [&](double score, int) { scores.push_back(score); });
    if (static_cast<int64_t>(scores.size()) < job_.k) return;
    const auto kth = scores.begin() + (job_.k - 1);
    std::nth_element(scores.begin(), kth, scores.end(), std::greater<double>());
    floor_ = *kth;
  }

  // Flips that score less are not among the k best.
  double least() const { return top_.full() ? std::max(floor_, top_.worst().score) : floor_; }

  void block(int64_t at, int64_t end) {
    const int n = static_cast<int>(std::min<int64_t>(kScreenBlock, end - at));
    if (set_threshold()) {
      int passed[kScreenBlock];
      const int count = run_screen_(weight_ + at, grad_ + at, n, screen_, &usual_, passed);
      for (int i = 0; i < count; ++i) score_word(at + passed[i]);
      return;
    }
    // No threshold that the screen could use. Once k scores of zero stand at lower indices, words
    // without gradient cannot enter any more.
    const bool skip_zero = top_.full() && job_.finite_only && at > top_.worst().index;
    for (int i = 0; i < n; ++i)
      if (!skip_zero || (grad_[at + i] & kMagnitude<F>) != 0) score_word(at + i);
  }

  // Sets the screen to what flips must score; false while that is of no use to it.
  bool set_threshold() {
    const double threshold = std::min(least(), kLargest);
    if (threshold <= 0) return false;
    if (threshold == threshold_) return true;
    threshold_ = threshold;
    constexpr int exponent = std::max(F::exponent, 8), bias = (1 << (exponent - 1)) - 1;
    constexpr double slack = 2 * 0.0862;  // of two patterns, and the rounding of log2
    const double octaves = std::log2(threshold) + 2 * bias - slack + (job_.finite_only ? 1 : 0);
    const double sum = std::floor(std::ldexp(octaves, 15 - exponent)) - 2;
    screen_.least = static_cast<uint16_t>(std::clamp(sum, 0.0, 65535.0));
    return true;
  }

  void score_word(int64_t at) {
    if (std::isnan(value<F>(grad_[at]))) nan_ = nan_ < 0 ? at : std::min(nan_, at);
    visit_bits<F>(
        job_, weight_[at], grad_[at], [&] { return least(); },
        [&](double score, int bit) { top_.offer({score, at, bit}); });
  }

  const RankJob& job_;
  const Word* weight_;
  const Word* grad_;
  ScreenFn run_screen_;
  Top top_;
  Screen screen_{};
  bool usual_ = true;  // of the words screened last
  double floor_ = -1, threshold_ = -1;
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
  const FloatMode mode;  // of this thread, which sorts; the others set their own
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
