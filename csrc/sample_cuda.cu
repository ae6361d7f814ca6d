#include "sample_grid.h"

namespace faultsim {

template struct GridErrors<DeviceGrid>;

}  // namespace faultsim
