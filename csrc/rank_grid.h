// The ranking in parallel. A pass collects the flips that are no worse than a threshold; the k-th
// best of those collected, or a little less, is the next one. Passes grow from a scattered sample
// to all words, so that the last, which alone reads everything, finds little; the host waits for
// that alone.
#pragma once
#include <memory>

#include "float_mode.h"
#include "rank_pass.h"
#include "rank_select.h"
#include "scatter.h"

namespace faultsim {

// Memory of a header, of what the host is given, and of `capacity` flips, more than k: the grid's,
// and the host's.
struct RankBuffer {
  RankFound* found;
  int64_t k, capacity;

  static int64_t room(int64_t k) { return k + k / 4 + 64; }
  static size_t given(int64_t k) { return sizeof(RankFound) + room(k) * sizeof(Ranked); }
  static size_t bytes(int64_t k, int64_t capacity) { return given(k) + capacity * sizeof(Ranked); }

  Ranked* kept() const { return reinterpret_cast<Ranked*>(found + 1); }
  Ranked* entries() const { return kept() + room(k); }

  bool overflowed() const { return found->flips > static_cast<uint64_t>(capacity); }
  int64_t flips() const { return overflowed() ? capacity : static_cast<int64_t>(found->flips); }
  bool kept_all() const { return found->kept <= static_cast<uint64_t>(room(k)); }
};

// What a ranking found besides.
struct RankNotes {
  int64_t nan = -1;     // the first position whose gradient is NaN, or -1
  int32_t skipped = 0;  // what kernels before noted
};

template <class Grid>
struct GridRanking {
  Grid grid;
  RankBuffer buffer;    // the grid's
  const int32_t* flag;  // likewise

  // As rank_bits.
  std::vector<Ranked> run(const RankJob& job, RankNotes* notes) const;

 private:
  template <class F>
  std::vector<Ranked> run_as(const RankJob& job, RankNotes* notes) const;
  template <class F>
  RankWords<F> words_of(const RankJob& job) const;
  template <class F>
  void begin(const Ranked& worst) const;
  template <class F>
  void sample(const RankJob& job, int64_t words) const;
  template <class F>
  void sweep(const RankJob& job, int64_t words) const;
  template <class F>
  RankSelect<F> best(const RankJob& job) const;
  template <class F>
  void narrow(const RankJob& job) const;
  std::vector<Ranked> bring(const RankBuffer& host) const;
};

template <class Grid>
template <class F>
RankWords<F> GridRanking<Grid>::words_of(const RankJob& job) const {
  return {job, RankBound<F>(job), buffer.found, buffer.entries(),
          static_cast<uint64_t>(buffer.capacity)};
}

template <class Grid>
template <class F>
void GridRanking<Grid>::begin(const Ranked& worst) const {
  grid.run(1, RankBegin{buffer.found, RankThreshold::at<F>(worst)});
}

template <class Grid>
template <class F>
void GridRanking<Grid>::sample(const RankJob& job, int64_t words) const {
  using Pass = RankSample<F>;
  const int64_t units = (job.n + Pass::kUnit - 1) / Pass::kUnit;
  const int64_t visits = std::clamp<int64_t>(words / Pass::kUnit, 1, units);
  grid.run(visits * Pass::kUnit, Pass{words_of<F>(job), units, scatter_step(units)});
}

template <class Grid>
template <class F>
void GridRanking<Grid>::sweep(const RankJob& job, int64_t words) const {
  using Pass = RankSweep<F>;
  const auto addresses =
      reinterpret_cast<uintptr_t>(job.weight) | reinterpret_cast<uintptr_t>(job.grad);
  const int64_t units = (job.n + Pass::kUnit - 1) / Pass::kUnit, step = scatter_step(units);
  const int64_t visits = (words + Pass::kUnit - 1) / Pass::kUnit;
  const int64_t blocks = std::min(visits, grid.blocks_at_once());
  grid.run(blocks * kBlockThreads, Pass{words_of<F>(job), addresses % Pass::kPackBytes == 0, units,
                                        step, visits, blocks, blocks * step % units});
}

template <class Grid>
template <class F>
RankSelect<F> GridRanking<Grid>::best(const RankJob& job) const {
  return {buffer.found, buffer.entries(), static_cast<uint64_t>(buffer.capacity),
          static_cast<uint64_t>(job.k)};
}

// Passes over growing samples, each with the threshold that the last has shown.
template <class Grid>
template <class F>
void GridRanking<Grid>::narrow(const RankJob& job) const {
  constexpr int64_t many = int64_t{1} << 20;
  // A threshold to begin with, from one bit: all flips of as many words would not fit.
  RankJob telling = job;
  telling.bits = telling_bit<F>(job.bits);
  const int64_t first = std::max<int64_t>(buffer.capacity / 2, 1);
  sample<F>(telling, first);
  grid.run_blocks(1, RankRaise<F>{best<F>(job)});
  // A pass finds k * growth flips or so; of few, their number varies, and should fit all the same.
  const int64_t growth = std::max<int64_t>(2, buffer.capacity / (2 * job.k + 8));
  int64_t words = job.n;  // that grow to all words exactly
  while (words > growth * first) words = (words + growth - 1) / growth;
  for (; words < job.n; words = std::min(job.n, words * growth)) {
    words < many ? sample<F>(job, words) : sweep<F>(job, words);
    grid.run_blocks(1, RankRaise<F>{best<F>(job)});
  }
}

// The kept flips of the last pass, or all of them where they are too many; with the k best first.
template <class Grid>
std::vector<Ranked> GridRanking<Grid>::bring(const RankBuffer& host) const {
  const size_t given = RankBuffer::given(host.k);
  grid.copy(host.found, buffer.found, given);
  std::vector<Ranked> flips;
  if (!host.overflowed() && host.kept_all()) {
    flips.assign(host.kept(), host.kept() + host.found->kept);
  } else {
    flips.resize(host.flips());
    grid.copy(flips.data(), buffer.entries(), flips.size() * sizeof(Ranked));
  }
  const auto k = static_cast<size_t>(host.k);
  if (flips.size() > k) {
    std::nth_element(flips.begin(), flips.begin() + (k - 1), flips.end());
    flips.resize(k);
  }
  return flips;
}

template <class Grid>
template <class F>
std::vector<Ranked> GridRanking<Grid>::run_as(const RankJob& job, RankNotes* notes) const {
  constexpr int64_t last = std::numeric_limits<int64_t>::max();
  const auto memory = std::make_unique<char[]>(RankBuffer::given(job.k));
  const RankBuffer host{reinterpret_cast<RankFound*>(memory.get()), job.k, buffer.capacity};
  const auto room = static_cast<uint64_t>(RankBuffer::room(job.k));
  begin<F>({-1, last, last});
  narrow<F>(job);
  for (;;) {
    sweep<F>(job, job.n);
    grid.run_blocks(1, RankKeep<F>{best<F>(job), buffer.kept(), room, flag});
    std::vector<Ranked> flips = bring(host);
    if (!host.overflowed()) {
      *notes = {static_cast<int64_t>(~host.found->not_nan), host.found->skipped};
      std::sort(flips.begin(), flips.end());
      return flips;
    }
    begin<F>(flips.back());  // the k-th of more flips, exactly: equal scores differ by position
  }
}

template <class Grid>
std::vector<Ranked> GridRanking<Grid>::run(const RankJob& job, RankNotes* notes) const {
  const FloatMode mode;  // scores may be subnormal, and are compared here
  *notes = {};
  if (job.n == 0) return {};
  switch (job.format) {
    case Float::f64:
      return run_as<F64>(job, notes);
    case Float::f32:
      return run_as<F32>(job, notes);
    case Float::f16:
      return run_as<F16>(job, notes);
    default:
      return run_as<BF16>(job, notes);
  }
}

extern template struct GridRanking<DeviceGrid>;

}  // namespace faultsim
