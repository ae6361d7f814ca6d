#include "limits_grid.h"

namespace faultsim {

template struct GridLimits<DeviceGrid>;

}  // namespace faultsim
