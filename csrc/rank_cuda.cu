#include "rank_grid.h"

namespace faultsim {

template struct GridRanking<DeviceGrid>;

}  // namespace faultsim
