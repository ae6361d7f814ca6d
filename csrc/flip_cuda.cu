#include "flip_grid.h"
#include "patch_grid.h"

namespace faultsim {

template struct GridWords<DeviceGrid>;
template class GridPatch<DeviceGrid>;

}  // namespace faultsim
