// What the sources of bindings share. Pointers cross as integers; faultsim.ops, the only caller,
// has checked them.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <vector>

#include "patch.h"
#include "top.h"

namespace faultsim {

namespace py = pybind11;
using NoGil = py::call_guard<py::gil_scoped_release>;

template <class T>
T* pointer(uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

// The table of a FaultSet: its first rows are tensor, index, mask, operator and operand.
std::vector<PatchFault> patch_faults(const py::array_t<int64_t, py::array::c_style>& table);

// Scores, indices and bits as arrays, and the position of a NaN or -1.
py::tuple ranking(const std::vector<Ranked>& best, int64_t nan);

// Kernels over a grid, with the given ending to their names and the class of their patches.
void register_host_grid(py::module_& m);
void register_cuda(py::module_& m);

}  // namespace faultsim
