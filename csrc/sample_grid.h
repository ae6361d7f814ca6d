// Bit errors drawn in parallel, a thread for each block: counted, then written where the running
// sum of the counts says.
#pragma once
#include "grid.h"
#include "sample.h"

namespace faultsim {

struct CountErrors {
  ErrorDraw draw;
  int64_t* counts;

  FAULTSIM_HD void operator()(int64_t block) const {
    int64_t count = 0;
    draw.visit_block(block, [&](int64_t) { ++count; });
    counts[block] = count;
  }
};

struct WriteErrors {
  ErrorDraw draw;
  const int64_t* counts;
  const int64_t* ends;  // inclusive sums of the counts
  int64_t* errors;

  FAULTSIM_HD void operator()(int64_t block) const {
    int64_t to = ends[block] - counts[block];
    draw.visit_block(block, [&](int64_t at) { errors[to++] = at; });
  }
};

template <class Grid>
struct GridErrors {
  Grid grid;
  ErrorDraw draw;

  void count(int64_t* counts) const;
  void write(const int64_t* counts, const int64_t* ends, int64_t* errors) const;
};

template <class Grid>
void GridErrors<Grid>::count(int64_t* counts) const {
  grid.run(draw.blocks(), CountErrors{draw, counts});
}

template <class Grid>
void GridErrors<Grid>::write(const int64_t* counts, const int64_t* ends, int64_t* errors) const {
  grid.run(draw.blocks(), WriteErrors{draw, counts, ends, errors});
}

extern template struct GridErrors<DeviceGrid>;

}  // namespace faultsim
