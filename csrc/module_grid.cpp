#include "module_grid.h"

namespace faultsim {
namespace {

py::bytes packed(const void* data, size_t bytes) {
  return py::bytes(static_cast<const char*>(data), bytes);
}

}  // namespace

void register_host_grid(py::module_& m) {
  m.attr("block_bits") = kBlockBits;
  m.def("rank_buffer_bytes", &RankBuffer::bytes);
  // What a patch over a grid reads: its tensors, and its faults sorted by word.
  m.attr("patch_fault_bytes") = static_cast<int>(sizeof(PatchFault));
  m.def("patch_tables", [](const std::vector<Words>& tensors,
                           const py::array_t<int64_t, py::array::c_style>& table) {
    std::vector<PatchFault> faults = patch_faults(table);
    check_patch(tensors, faults);
    sort_by_word(tensors, faults);
    return py::make_tuple(packed(tensors.data(), tensors.size() * sizeof(Words)),
                          packed(faults.data(), faults.size() * sizeof(PatchFault)));
  });
  register_grid<HostGrid>(m, "_grid", "GridPatch");
}

}  // namespace faultsim
