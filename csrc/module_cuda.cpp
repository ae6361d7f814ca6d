#include "module_grid.h"

namespace faultsim {

void register_cuda(py::module_& m) { register_grid<DeviceGrid>(m, "_cuda", "CudaPatch"); }

}  // namespace faultsim
