// The CPU kernels on small and awkward inputs, to be run under AddressSanitizer and UBSan.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "flip.h"
#include "flip_grid.h"
#include "isa.h"
#include "limits.h"
#include "limits_grid.h"
#include "patch_grid.h"
#include "rank.h"
#include "rank_grid.h"
#include "rank_screen.h"
#include "sample.h"
#include "sample_grid.h"
#include "scan.h"
#include "scan_grid.h"
#include "scan_kernel.h"

namespace faultsim {

// The kernels of wider instruction sets are not built here.
Isa isa() { return Isa::baseline; }
namespace avx2 {
extern const Screens screens;
const Screens screens = baseline::screens;
extern const ScanKernels scan_float, scan_double;
const ScanKernels scan_float = baseline::scan_float, scan_double = baseline::scan_double;
}  // namespace avx2
namespace avx512 {
extern const Screens screens;
const Screens screens = baseline::screens;
extern const ScanKernels scan_float, scan_double;
const ScanKernels scan_float = baseline::scan_float, scan_double = baseline::scan_double;
}  // namespace avx512

}  // namespace faultsim

using namespace faultsim;

namespace {

int failures = 0;

void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("FAILED: %s\n", what);
  ++failures;
}

// A transposed 5 x 7 tensor, so that logical and storage order differ.
Words strided(std::vector<int64_t>& memory, int bytes) {
  return {memory.data(), bytes, 35, 2, {7, 5}, {1, 7}};
}

void flips_undo(int bytes) {
  std::vector<int64_t> memory(35);
  for (size_t i = 0; i < memory.size(); ++i)
    memory[i] = static_cast<int64_t>(i * 0x9E3779B97F4A7C15u);
  const std::vector<int64_t> before = memory;
  const Words words = strided(memory, bytes);
  const std::vector<int64_t> index = {0, 34, 6, 6, 0, 6};
  const std::vector<int64_t> operand = {1, -1, 64, 32, 127, -128};
  std::vector<int64_t> saved(index.size());
  for (int op = 0; op < 4; ++op) {
    corrupt_words(words, {index.data(), operand.data(), 1, 6, static_cast<Op>(op)}, saved.data());
    check(op != 0 || memory != before, "a flip changes memory");
    restore_words(words, index.data(), 6, saved.data());
    check(memory == before, "restoring gives back every word");
  }
}

void doubles_words(uint64_t* words, uint64_t*, uint64_t*, int64_t n) {
  for (int64_t i = 0; i < n; ++i) words[i] *= 2;
}

// More faults than a block holds, on few words.
void own_operators_undo(int bytes) {
  std::vector<int64_t> memory(35, 0x0101010101010101);
  const std::vector<int64_t> before = memory;
  Words words = strided(memory, bytes);
  words.layout.bits = static_cast<uint8_t>(8 * bytes);
  std::vector<int64_t> index(600), saved(600);
  for (size_t i = 0; i < index.size(); ++i) index[i] = static_cast<int64_t>(i * i % 35);
  const int64_t operand = 0;
  define_operator(kOwn, {doubles_words});
  Faults faults{index.data(), &operand, 0, 600, static_cast<Op>(kOwn)};
  faults.own = own_operator(faults.op);
  corrupt_words(words, faults, saved.data());
  check(memory != before, "an operator of others changes memory");
  restore_words(words, index.data(), 600, saved.data());
  check(memory == before, "restoring gives back every word");
  std::vector<PatchFault> set;
  for (int64_t at : index) set.push_back({at, 0, 0, faults.op, -1, 0, faults.own});
  set.insert(set.begin() + 300, {3, 1, 0, Op::flip});
  Patch patch({words}, set);
  patch.strike();
  patch.restore();
  check(memory == before && patch.changed() == -1, "a patch gives back every word");
}

// What a device runs, on the host: the same words, and no access where an index is bad.
void flips_on_a_grid(int bytes, uint64_t shuffle) {
  std::vector<int64_t> memory(35, 0x1234567890ABCDEF);
  const std::vector<int64_t> before = memory;
  std::vector<int64_t> other = memory;
  const std::vector<int64_t> index = {0, 34, 6, 6, 0, 6, 35, -1};
  const std::vector<int64_t> operand = {1, -1, 64, 32, 127, -128, 1, 1};
  const std::vector<int64_t> order = {7, 0, 4, 2, 3, 5, 1, 6}, sorted = {-1, 0, 0, 6, 6, 6, 34, 35};
  std::vector<int64_t> saved(8), expected(6), read(8);
  int32_t flag = 0;
  const GridWords<HostGrid> words{{shuffle}, strided(memory, bytes), &flag};
  for (int op = 0; op < 4; ++op) {
    const Faults faults{sorted.data(), operand.data(), 1, 8, static_cast<Op>(op)};
    words.read(index.data(), 8, saved.data());
    words.corrupt(faults, order.data(), saved.data());
    corrupt_words(strided(other, bytes), {index.data(), operand.data(), 1, 6, faults.op},
                  expected.data());
    check(memory == other, "a grid corrupts as the CPU does");
    check(std::equal(expected.begin(), expected.end(), saved.begin()), "and saves the same");
    words.read(index.data(), 8, read.data());
    words.restore(sorted.data(), order.data(), 8, saved.data());
    restore_words(strided(other, bytes), index.data(), 6, expected.data());
    check(memory == before && other == before, "a grid restores every word");
  }
  check(flag == kBadIndex, "bad indices are noted");
}

void patches_on_a_grid(uint64_t shuffle) {
  std::vector<int64_t> memory(35, 7);
  const std::vector<int64_t> before = memory;
  std::vector<Words> tensors;
  for (int bytes : {1, 2, 4, 8}) tensors.push_back(strided(memory, bytes));
  std::vector<PatchFault> faults = {{34, 1, 0, Op::flip}, {3, 5, 3, Op::replace}};
  faults.insert(faults.end(), {{34, 2, 0, Op::flip}, {20, 2, 1, Op::stuck_at_1}});
  faults.push_back({30, 4, 2, Op::stuck_at_0});
  sort_by_word(tensors, faults);
  faults.insert(faults.end(), 2, {-1, -1, -1, Op::flip});  // slots without a fault
  std::vector<int64_t> saved(faults.size());
  uint64_t changed = 0;
  GridPatch<HostGrid> patch(
      {tensors.data(), faults.data(), static_cast<int64_t>(faults.size()), saved.data(), &changed});
  patch.strike({shuffle});
  check(patch.struck() && memory != before, "a patch strikes");
  patch.restore({shuffle});
  check(memory == before && changed == ~uint64_t{0}, "a patch restores");
}

void bounds_are_checked() {
  const std::vector<int64_t> index = {0, 3, 4, -1, INT64_MIN, INT64_MAX};
  check(first_out_of_bounds(index.data(), 2, 4) == -1, "indices inside");
  check(first_out_of_bounds(index.data(), 6, 4) == 2, "the index past the end");
  check(first_out_of_bounds(index.data() + 3, 3, 4) == 0, "a negative index");
}

void samples_are_distinct() {
  std::vector<int64_t> drawn(1000);
  sample_uniform(1000, 1000, 7, 0, 0, drawn.data());
  std::vector<bool> seen(1000);
  for (int64_t at : drawn) seen[at] = true;
  for (bool hit : seen) check(hit, "a full draw is a permutation");
  for (double rate : {0.0, 1e-9, 0.3, 1.0}) {
    const std::vector<int64_t> errors = sample_bit_errors(3000000, rate, 1, 2, 0);
    check(rate > 0 || errors.empty(), "no errors at rate 0");
    check(rate < 1 || errors.size() == 3000000, "all errors at rate 1");
    const GridErrors<HostGrid> grid{{5}, ErrorDraw(3000000, rate, 1, 2, 0)};
    std::vector<int64_t> counts(grid.draw.blocks()), ends(counts.size()), drawn(errors.size());
    grid.count(counts.data());
    std::partial_sum(counts.begin(), counts.end(), ends.begin());
    check(errors.empty() || ends.back() == static_cast<int64_t>(errors.size()), "as many errors");
    grid.write(counts.data(), ends.data(), drawn.data());
    check(drawn == errors, "a grid draws the same errors");
  }
}

bool same(const std::vector<Ranked>& one, const std::vector<Ranked>& other) {
  return one.size() == other.size() &&
         std::equal(one.begin(), one.end(), other.begin(),
                    [](const Ranked& a, const Ranked& b) { return !(a < b) && !(b < a); });
}

std::vector<Ranked> rank_on_a_grid(const RankJob& job, int64_t room) {
  std::vector<Ranked> memory(RankBuffer::bytes(job.k, job.k + room) / sizeof(Ranked) + 1);
  const RankBuffer buffer{reinterpret_cast<RankFound*>(memory.data()), job.k, job.k + room};
  const int32_t flag = 0;
  RankNotes notes;
  return GridRanking<HostGrid>{{3}, buffer, &flag}.run(job, &notes);
}

template <class Word>
void ranks(Float format, int bits, int64_t n) {
  std::vector<Word> weight(n), grad(n);
  for (int64_t i = 0; i < n; ++i) {
    weight[i] = static_cast<Word>(i * 0x9E3779B97F4A7C15u >> 7);
    grad[i] = static_cast<Word>(i % 5 == 0 ? 0 : (uint64_t{0x2F} << (bits - 8)) + i);
  }
  const uint64_t all = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  for (int threads : {1, 3})
    for (int64_t k : {int64_t{1}, int64_t{70}, n * bits + 1})
      for (bool finite_only : {true, false}) {
        int64_t nan = -1;
        const RankJob job{weight.data(), grad.data(),     n, format, all,
                          finite_only,   Direction::both, k, threads};
        const std::vector<Ranked> best = rank_bits(job, &nan);
        check(static_cast<int64_t>(best.size()) <= k, "at most k results");
        for (size_t i = 1; i < best.size(); ++i) check(best[i - 1] < best[i], "strictly in order");
        if (threads > 1) continue;
        for (int64_t room : {1, 5000})
          if (room > 1 || n < 1000)
            check(same(best, rank_on_a_grid(job, room)), "a grid ranks as the CPU does");
      }
}

// One scan of ragged sizes, forward and backward, in memory without a spare byte.
template <class Real>
void scans(int64_t batch, int64_t dim, int64_t groups, int64_t length, int64_t state) {
  const int64_t rows = batch * dim * length, matrix = batch * groups * state * length;
  auto filled = [](int64_t n) {
    std::vector<Real> values(n);
    for (int64_t i = 0; i < n; ++i) values[i] = static_cast<Real>(std::sin(1.0 + 0.7 * i));
    return values;
  };
  const std::vector<Real> u = filled(rows), delta = filled(rows);
  std::vector<Real> A = filled(dim * state);
  for (Real& rate : A) rate = -std::abs(rate);
  const std::vector<Real> B = filled(matrix), C = filled(matrix), D = filled(dim);
  const StateFault last{batch - 1, dim - 1, state - 1, length - 1, 0, 0}, all{-1, 0, 0, 0, ~0u, 1};
  std::vector<StateFault> faults = {all, last};
  if (length == 0) faults.clear();
  std::vector<Real> one(rows), other(rows);
  ScanJob job{sizeof(Real) == 8,
              batch,
              dim,
              groups,
              length,
              state,
              u.data(),
              delta.data(),
              A.data(),
              B.data(),
              C.data(),
              D.data(),
              D.data(),
              true,
              one.data(),
              faults.data(),
              static_cast<int64_t>(faults.size())};
  scan_forward(job, 1);
  job.y = other.data();
  scan_forward(job, 3);
  check(one == other, "a scan does not depend on the number of threads");
  std::vector<Real> du(rows), ddelta(rows), dA(A), dB(B), dC(C), dD(D), dbias(D);
  scan_backward(job,
                {u.data(), du.data(), ddelta.data(), dA.data(), dB.data(), dC.data(), dD.data(),
                 dbias.data()},
                3);
  for (Real value : ddelta) check(std::isfinite(value), "gradients are finite");
  scan_forward_grid(job, false);
  for (int64_t i = 0; i < rows; ++i)
    check(std::abs(one[i] - other[i]) < 1e-2, "blocks of threads compute the same scan");
  std::vector<char> scratch(scan_scratch_bytes(job));
  scan_backward_grid(job,
                     {u.data(), du.data(), ddelta.data(), dA.data(), dB.data(), dC.data(),
                      dD.data(), dbias.data()},
                     scratch.data(), true);
  job.D = job.bias = nullptr;
  scan_backward(
      job, {u.data(), du.data(), ddelta.data(), dA.data(), dB.data(), dC.data(), nullptr, nullptr},
      2);
}

}  // namespace

int main() {
  for (int bytes : {1, 2, 4, 8}) flips_undo(bytes);
  for (int bytes : {1, 2, 4, 8}) own_operators_undo(bytes);
  for (uint64_t shuffle : {0, 1, 2}) {
    for (int bytes : {1, 2, 4, 8}) flips_on_a_grid(bytes, shuffle);
    patches_on_a_grid(shuffle);
  }
  bounds_are_checked();
  samples_are_distinct();
  for (int64_t n : {1, 255, 257, 140001}) {
    if (n > 1000) {
      ranks<uint32_t>(Float::f32, 32, n);
      continue;
    }
    ranks<uint64_t>(Float::f64, 64, n);
    ranks<uint32_t>(Float::f32, 32, n);
    ranks<uint16_t>(Float::f16, 16, n);
    ranks<uint16_t>(Float::bf16, 16, n);
  }
  scans<float>(1, 1, 1, 1, 1);
  scans<float>(2, 3, 1, 0, 2);
  scans<float>(2, 74, 2, 131, 3);
  scans<double>(2, 15, 3, 65, 16);
  scans<float>(1, 10, 2, 33, 33);
  const std::vector<uint64_t> words(37, 3);
  check(read_limit(words.data(), 37, 2) == 111, "the read limit reads every word once");
  const std::vector<ReadLimit::Pack> packs(3 * ReadLimit::kUnit / 2, {{1, 2}});
  uint64_t sum = 0;
  GridLimits<HostGrid>{{4}}.read(packs[0].words, 3 * ReadLimit::kUnit, &sum);
  check(sum == 3 * packs.size(), "and so does that of a grid");
  std::printf("native code under the sanitizers: %s\n", failures ? "FAILED" : "clean");
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
