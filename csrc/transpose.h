// Rows to columns, a square of vectors at a time. In an anonymous namespace, as scan_math.h is.
#pragma once
#include "scan_math.h"

namespace faultsim {
namespace {

template <class Real>
inline V<Real> load_vector(const Real* from) {
  V<Real> out;
  __builtin_memcpy(&out, from, sizeof out);
  return out;
}

// Swaps the off-diagonal quarters of all squares of side 2 * half, then of those within.
template <class Real, int half>
inline void swap_quarters(V<Real>* rows) {
  constexpr int lanes = Vector<Real>::lanes;
  I<Real> upper{}, lower{};
#pragma GCC unroll 16
  for (int lane = 0; lane < lanes; ++lane) {
    upper[lane] = lane & half ? lanes + lane - half : lane;
    lower[lane] = lane & half ? lanes + lane : lane + half;
  }
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    if (i & half) continue;
    const V<Real> a = rows[i], b = rows[i + half];
    rows[i] = __builtin_shuffle(a, b, upper);
    rows[i + half] = __builtin_shuffle(a, b, lower);
  }
  if constexpr (half > 1) swap_quarters<Real, half / 2>(rows);
}

// out[column * out_stride + row] = in[row * in_stride + column]
template <class Real>
void transpose(const Real* in, int64_t in_stride, int64_t rows, int64_t columns, Real* out,
               int64_t out_stride) {
  constexpr int lanes = Vector<Real>::lanes;
  const int64_t full_rows = rows / lanes * lanes, full_columns = columns / lanes * lanes;
  for (int64_t row = 0; row < full_rows; row += lanes)
    for (int64_t column = 0; column < full_columns; column += lanes) {
      V<Real> square[lanes];
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i)
        square[i] = load_vector<Real>(in + (row + i) * in_stride + column);
      swap_quarters<Real, lanes / 2>(square);
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i)
        __builtin_memcpy(out + (column + i) * out_stride + row, &square[i], sizeof square[i]);
    }
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = row < full_rows ? full_columns : 0; column < columns; ++column)
      out[column * out_stride + row] = in[row * in_stride + column];
}

}  // namespace
}  // namespace faultsim
