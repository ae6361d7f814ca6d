// The bindings of every kernel that runs over a grid: the host's and the device's are the same. The
// last argument is the grid: a shuffle of the host's, a stream of the device.
#pragma once
#include <string>

#include "flip_grid.h"
#include "limits_grid.h"
#include "module.h"
#include "patch_grid.h"
#include "rank_grid.h"
#include "sample_grid.h"

namespace faultsim {

template <class Grid>
void register_grid_words(py::module_& m, const std::string& ending) {
  m.def(("read_words" + ending).c_str(),
        [](const Words& words, uintptr_t index, int64_t n, uintptr_t out, uintptr_t flag,
           uintptr_t grid) {
          GridWords<Grid>{{grid}, words, pointer<int32_t>(flag)}.read(pointer<int64_t>(index), n,
                                                                      pointer<int64_t>(out));
        },
        NoGil());
  m.def(("corrupt_words" + ending).c_str(),
        [](const Words& words, const Faults& faults, uintptr_t order, uintptr_t saved,
           uintptr_t flag, uintptr_t grid) {
          GridWords<Grid>{{grid}, words, pointer<int32_t>(flag)}.corrupt(
              faults, pointer<int64_t>(order), pointer<int64_t>(saved));
        },
        NoGil());
  m.def(("restore_words" + ending).c_str(),
        [](const Words& words, uintptr_t index, uintptr_t order, int64_t n, uintptr_t saved,
           uintptr_t flag, uintptr_t grid) {
          GridWords<Grid>{{grid}, words, pointer<int32_t>(flag)}.restore(
              pointer<int64_t>(index), pointer<int64_t>(order), n, pointer<int64_t>(saved));
        },
        NoGil());
}

template <class Grid>
void register_grid_patch(py::module_& m, const char* name) {
  using Bound = GridPatch<Grid>;
  py::class_<Bound>(m, name)
      .def(py::init(
          [](uintptr_t tensors, uintptr_t faults, int64_t n, uintptr_t saved, uintptr_t changed) {
            return Bound({pointer<Words>(tensors), pointer<PatchFault>(faults), n,
                          pointer<int64_t>(saved), pointer<uint64_t>(changed)});
          }))
      .def_property_readonly("struck", &Bound::struck)
      .def(
          "strike", [](Bound& patch, uintptr_t grid) { patch.strike({grid}); }, NoGil())
      .def("restore", [](Bound& patch, uintptr_t grid) { patch.restore({grid}); }, NoGil());
}

template <class Grid>
void register_grid_sampling(py::module_& m, const std::string& ending) {
  m.def(("count_bit_errors" + ending).c_str(),
        [](int64_t population, double rate, uint64_t seed, uint32_t trial, uint32_t stream,
           uintptr_t counts, uintptr_t grid) {
          const ErrorDraw draw(population, rate, seed, trial, stream);
          GridErrors<Grid>{{grid}, draw}.count(pointer<int64_t>(counts));
        },
        NoGil());
  m.def(("write_bit_errors" + ending).c_str(),
        [](int64_t population, double rate, uint64_t seed, uint32_t trial, uint32_t stream,
           uintptr_t counts, uintptr_t ends, uintptr_t errors, uintptr_t grid) {
          const ErrorDraw draw(population, rate, seed, trial, stream);
          GridErrors<Grid>{{grid}, draw}.write(pointer<int64_t>(counts), pointer<int64_t>(ends),
                                               pointer<int64_t>(errors));
        },
        NoGil());
}

template <class Grid>
void register_grid_ranking(py::module_& m, const std::string& ending) {
  m.def(("rank_bits" + ending).c_str(),
        [](uintptr_t weight, uintptr_t grad, int64_t n, int format, uint64_t bits, bool finite_only,
           int direction, int64_t k, uintptr_t buffer, int64_t capacity, uintptr_t flag,
           uintptr_t grid) {
          const RankJob job{pointer<void>(weight),
                            pointer<void>(grad),
                            n,
                            static_cast<Float>(format),
                            bits,
                            finite_only,
                            static_cast<Direction>(direction),
                            k,
                            1};
          std::vector<Ranked> best;
          RankNotes notes;
          {
            const py::gil_scoped_release release;
            const RankBuffer room{pointer<RankFound>(buffer), k, capacity};
            best = GridRanking<Grid>{{grid}, room, pointer<int32_t>(flag)}.run(job, &notes);
          }
          return py::make_tuple(ranking(best, notes.nan), notes.skipped);
        });
}

template <class Grid>
void register_grid_limits(py::module_& m, const std::string& ending) {
  m.def(("read_limit" + ending).c_str(),
        [](uintptr_t words, int64_t n, uintptr_t sum, uintptr_t grid) {
          GridLimits<Grid>{{grid}}.read(pointer<uint64_t>(words), n, pointer<uint64_t>(sum));
        },
        NoGil());
  m.def(("update_limit" + ending).c_str(),
        [](uintptr_t words, uintptr_t index, int64_t n, uintptr_t grid) {
          GridLimits<Grid>{{grid}}.update(pointer<uint32_t>(words), pointer<int64_t>(index), n);
        },
        NoGil());
}

template <class Grid>
void register_grid(py::module_& m, const std::string& ending, const char* patch) {
  register_grid_words<Grid>(m, ending);
  register_grid_patch<Grid>(m, patch);
  register_grid_sampling<Grid>(m, ending);
  register_grid_ranking<Grid>(m, ending);
  register_grid_limits<Grid>(m, ending);
}

}  // namespace faultsim
