// The Python bindings.
#include "module.h"

#include <array>
#include <tuple>
#include <utility>
#include <vector>

#include "flip.h"
#include "isa.h"
#include "limits.h"
#include "patch.h"
#include "philox.h"
#include "rank.h"
#include "sample.h"
#include "scan.h"
#include "scan_grid.h"

namespace faultsim {

std::vector<PatchFault> patch_faults(const py::array_t<int64_t, py::array::c_style>& table) {
  const py::ssize_t n = table.shape(1);
  const int64_t* rows = table.data();
  const int64_t* random = table.shape(0) > 7 ? rows + 7 * n : nullptr;
  std::vector<PatchFault> faults(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    const Op op = static_cast<Op>(rows[3 * n + i]);
    const int64_t mask = rows[2 * n + i];
    faults[i] = {rows[n + i],
                 op < Op::replace ? mask : rows[4 * n + i],
                 static_cast<int32_t>(rows[i]),
                 op,
                 mask,
                 random == nullptr ? 0 : static_cast<uint64_t>(random[i]),
                 own_operator(op)};
  }
  return faults;
}

py::tuple ranking(const std::vector<Ranked>& best, int64_t nan) {
  const auto n = static_cast<py::ssize_t>(best.size());
  py::array_t<double> score(n);
  py::array_t<int64_t> index(n), bit(n);
  for (py::ssize_t i = 0; i < n; ++i) {
    score.mutable_at(i) = best[i].score;
    index.mutable_at(i) = best[i].index;
    bit.mutable_at(i) = best[i].bit;
  }
  return py::make_tuple(score, index, bit, nan);
}

namespace {

// A layout is exponent bits, whether there is a sign, what is special and the bias.
Words make_words(uintptr_t data, int bytes, int64_t numel, const py::tuple& sizes,
                 const py::tuple& strides, const std::tuple<int, bool, int, int>& layout) {
  const auto [exponent, is_signed, special, bias] = layout;
  Words words{pointer<void>(data),
              bytes,
              numel,
              static_cast<int>(sizes.size()),
              {},
              {},
              {static_cast<uint8_t>(8 * bytes), static_cast<uint8_t>(exponent), is_signed,
               static_cast<Special>(special), static_cast<int16_t>(bias)}};
  if (words.dims > kMaxDims) throw py::value_error("tensors have at most 16 strided dimensions");
  for (int d = 0; d < words.dims; ++d) {
    words.sizes[d] = sizes[d].cast<int64_t>();
    words.strides[d] = strides[d].cast<int64_t>();
  }
  return words;
}

// A column is its address and its stride, 0 where all faults share its first number.
Faults make_faults(int op, uintptr_t index, int64_t n, std::pair<uintptr_t, int64_t> operand,
                   std::pair<uintptr_t, int64_t> mask, std::pair<uintptr_t, int64_t> random) {
  const Op kind = static_cast<Op>(op);
  return {pointer<int64_t>(index),
          pointer<int64_t>(operand.first),
          operand.second,
          n,
          kind,
          pointer<int64_t>(mask.first),
          pointer<int64_t>(random.first),
          mask.second,
          random.second,
          own_operator(kind)};
}

// What a fault makes of one word.
int64_t corrupted(const Words& words, int op, int64_t operand, int64_t mask, uint64_t random,
                  int64_t word) {
  const Op kind = static_cast<Op>(op);
  Words one = words;
  one.data = &word;
  one.dims = 0;
  int64_t saved;
  const int64_t place = 0, draw = static_cast<int64_t>(random);
  corrupt_words(one, {&place, &operand, 0, 1, kind, &mask, &draw, 0, 0, own_operator(kind)},
                &saved);
  read_words(one, &place, 1, &word);
  return word;
}

void register_words(py::module_& m) {
  py::class_<Words>(m, "Words").def(py::init(&make_words));
  py::class_<Faults>(m, "Faults").def(py::init(&make_faults));
  m.def("corrupted", &corrupted);
  m.attr("own_operators") = kOwn;
  m.def("define_operator", [](int number, uintptr_t address, bool of_values) {
    Own own;
    if (of_values)
      own.of_values = reinterpret_cast<decltype(own.of_values)>(address);
    else
      own.of_words = reinterpret_cast<decltype(own.of_words)>(address);
    define_operator(number, own);
  });
  m.def(
      "first_out_of_bounds",
      [](uintptr_t index, int64_t n, int64_t numel) {
        return first_out_of_bounds(pointer<int64_t>(index), n, numel);
      },
      NoGil());
  m.def(
      "read_words",
      [](const Words& words, uintptr_t index, int64_t n, uintptr_t out) {
        read_words(words, pointer<int64_t>(index), n, pointer<int64_t>(out));
      },
      NoGil());
  m.def(
      "corrupt_words",
      [](const Words& words, const Faults& faults, uintptr_t saved) {
        corrupt_words(words, faults, pointer<int64_t>(saved));
      },
      NoGil());
  m.def(
      "restore_words",
      [](const Words& words, uintptr_t index, int64_t n, uintptr_t saved) {
        restore_words(words, pointer<int64_t>(index), n, pointer<int64_t>(saved));
      },
      NoGil());
}

void register_patch(py::module_& m) {
  py::class_<Patch>(m, "Patch")
      .def(py::init(
          [](std::vector<Words> tensors, const py::array_t<int64_t, py::array::c_style>& table) {
            return Patch(std::move(tensors), patch_faults(table));
          }))
      .def_property_readonly("struck", &Patch::struck)
      .def_property_readonly("changed", &Patch::changed)
      .def("strike", &Patch::strike, NoGil())
      .def("restore", &Patch::restore, NoGil());
}

void register_sampling(py::module_& m) {
  m.def("philox", [](py::tuple counter, py::tuple key) {
    Philox4 words;
    for (int i = 0; i < 4; ++i) words.v[i] = counter[i].cast<uint32_t>();
    const Philox4 out = philox(words, key[0].cast<uint32_t>(), key[1].cast<uint32_t>());
    return py::make_tuple(out.v[0], out.v[1], out.v[2], out.v[3]);
  });
  m.def(
      "random_words",
      [](int64_t n, uint64_t seed, uint32_t trial, uint32_t stream, uintptr_t out) {
        Draws draws(seed, trial, stream, 0);
        for (int64_t i = 0; i < n; ++i) pointer<uint64_t>(out)[i] = draws.next();
      },
      NoGil());
  m.def(
      "sample_uniform",
      [](uint64_t population, int64_t n, uint64_t seed, uint32_t trial, uint32_t stream,
         uintptr_t out) {
        sample_uniform(population, n, seed, trial, stream, pointer<int64_t>(out));
      },
      NoGil());
  m.def("sample_bit_errors",
        [](int64_t population, double rate, uint64_t seed, uint32_t trial, uint32_t stream) {
          std::vector<int64_t> errors;
          {
            const py::gil_scoped_release release;
            errors = sample_bit_errors(population, rate, seed, trial, stream);
          }
          return py::array_t<int64_t>(static_cast<py::ssize_t>(errors.size()), errors.data());
        });
}

void register_ranking(py::module_& m) {
  m.def("rank_bits", [](uintptr_t weight, uintptr_t grad, int64_t n, int format, uint64_t bits,
                        bool finite_only, int direction, int64_t k, int threads) {
    const RankJob job{pointer<void>(weight),
                      pointer<void>(grad),
                      n,
                      static_cast<Float>(format),
                      bits,
                      finite_only,
                      static_cast<Direction>(direction),
                      k,
                      threads};
    std::vector<Ranked> best;
    int64_t nan = -1;
    {
      const py::gil_scoped_release release;
      best = rank_bits(job, &nan);
    }
    return ranking(best, nan);
  });
}

// Shape is batch, dim, groups, length and state; inputs are u, delta, A, B, C, D and bias, 0 for
// none.
ScanJob make_scan(bool is_double, const std::array<int64_t, 5>& shape,
                  const std::array<uintptr_t, 7>& inputs, bool softplus) {
  ScanJob job{};
  job.is_double = is_double;
  std::tie(job.batch, job.dim, job.groups, job.length, job.state) = std::tuple_cat(shape);
  const void** slots[] = {&job.u, &job.delta, &job.A, &job.B, &job.C, &job.D, &job.bias};
  for (int i = 0; i < 7; ++i) *slots[i] = pointer<void>(inputs[i]);
  job.softplus = softplus;
  return job;
}

// Those of dy, u, delta, A, B, C, D and bias.
ScanGrads make_grads(const std::array<uintptr_t, 8>& grads) {
  void* slots[8];
  for (int i = 0; i < 8; ++i) slots[i] = pointer<void>(grads[i]);
  const auto [dy, du, ddelta, dA, dB, dC, dD, dbias] = slots;
  return {dy, du, ddelta, dA, dB, dC, dD, dbias};
}

// A fault is batch, channel, state, step, bits kept and bits toggled; operator, operand, random
// bits.
class Scan {
 public:
  Scan(bool is_double, const std::array<int64_t, 5>& shape, const std::array<uintptr_t, 7>& inputs,
       bool softplus, const std::vector<std::array<int64_t, 9>>& faults)
      : job_(make_scan(is_double, shape, inputs, softplus)) {
    for (const auto& [batch, channel, state, step, keep, toggle, op, operand, random] : faults) {
      own_operator(static_cast<Op>(op));  // throws unless there is one
      faults_.push_back({batch, channel, state, step, static_cast<uint64_t>(keep),
                         static_cast<uint64_t>(toggle), op, operand,
                         static_cast<uint64_t>(random)});
    }
    job_.faults = faults_.data();
    job_.n_faults = static_cast<int64_t>(faults_.size());
  }
  Scan(const Scan&) = delete;

  void forward(uintptr_t y, int threads) const {
    ScanJob job = job_;
    job.y = pointer<void>(y);
    scan_forward(job, threads);
  }

  void backward(const std::array<uintptr_t, 8>& grads, int threads) const {
    scan_backward(job_, make_grads(grads), threads);
  }

 private:
  ScanJob job_;
  std::vector<StateFault> faults_;
};

// A scan in blocks of threads. Faults are an address too, where the kernel finds them. The last
// argument is the grid, as in module_grid.h; the host knows two orders, ascending and descending.
class ScanGrid {
 public:
  ScanGrid(bool is_double, bool is_narrow, const std::array<int64_t, 5>& shape,
           const std::array<uintptr_t, 7>& inputs, bool softplus, uintptr_t faults,
           int64_t n_faults)
      : job_(make_scan(is_double, shape, inputs, softplus)) {
    static_assert(sizeof(StateFault) == 9 * sizeof(int64_t), "a row of the table is a fault");
    job_.is_narrow = is_narrow;
    job_.faults = pointer<StateFault>(faults);
    job_.n_faults = n_faults;
  }

  int64_t scratch_bytes() const { return scan_scratch_bytes(job_); }

  void forward(uintptr_t y, uintptr_t shuffle) const { scan_forward_grid(to(y), shuffle != 0); }

  void backward(const std::array<uintptr_t, 8>& grads, uintptr_t scratch, uintptr_t shuffle) const {
    scan_backward_grid(job_, make_grads(grads), pointer<void>(scratch), shuffle != 0);
  }

#ifdef FAULTSIM_WITH_CUDA
  void forward_cuda(uintptr_t y, uintptr_t stream) const {
    scan_forward_cuda(to(y), pointer<void>(stream));
  }

  void backward_cuda(const std::array<uintptr_t, 8>& grads, uintptr_t scratch,
                     uintptr_t stream) const {
    scan_backward_cuda(job_, make_grads(grads), pointer<void>(scratch), pointer<void>(stream));
  }
#endif

 private:
  ScanJob to(uintptr_t y) const {
    ScanJob job = job_;
    job.y = pointer<void>(y);
    return job;
  }

  ScanJob job_;
};

void register_scan(py::module_& m) {
  using Faults = std::vector<std::array<int64_t, 9>>;
  py::class_<Scan>(m, "Scan")
      .def(py::init<bool, const std::array<int64_t, 5>&, const std::array<uintptr_t, 7>&, bool,
                    const Faults&>())
      .def("forward", &Scan::forward, NoGil())
      .def("backward", &Scan::backward, NoGil());
}

void register_scan_grid(py::module_& m) {
  py::class_<ScanGrid> grid(m, "ScanGrid");
  grid.attr("most_states") = kMostStates;
  grid.def(py::init<bool, bool, const std::array<int64_t, 5>&, const std::array<uintptr_t, 7>&,
                    bool, uintptr_t, int64_t>())
      .def_property_readonly("scratch_bytes", &ScanGrid::scratch_bytes)
#ifdef FAULTSIM_WITH_CUDA
      .def("forward_cuda", &ScanGrid::forward_cuda, NoGil())
      .def("backward_cuda", &ScanGrid::backward_cuda, NoGil())
#endif
      .def("forward", &ScanGrid::forward, NoGil())
      .def("backward", &ScanGrid::backward, NoGil());
}

void register_limits(py::module_& m) {
  m.def(
      "read_limit",
      [](uintptr_t words, int64_t n, int threads) {
        return read_limit(pointer<uint64_t>(words), n, threads);
      },
      NoGil());
  m.def(
      "update_limit",
      [](uintptr_t words, uintptr_t index, int64_t n) {
        update_limit(pointer<uint32_t>(words), pointer<int64_t>(index), n);
      },
      NoGil());
}

}  // namespace
}  // namespace faultsim

PYBIND11_MODULE(_C, m) {
  using namespace faultsim;
  m.attr("abi") = FAULTSIM_ABI;
  m.attr("isa") = isa_name();
#ifdef FAULTSIM_WITH_CUDA
  m.attr("with_cuda") = true;
#else
  m.attr("with_cuda") = false;
#endif
  register_words(m);
  register_patch(m);
  register_sampling(m);
  register_ranking(m);
  register_scan(m);
  register_scan_grid(m);
  register_limits(m);
  register_host_grid(m);
#ifdef FAULTSIM_WITH_CUDA
  register_cuda(m);
#endif
}
