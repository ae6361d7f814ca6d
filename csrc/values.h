// The number that a word holds, and the word nearest to a number, of every format.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "host_device.h"

namespace faultsim {

// What stands at the top of a floating format: infinity and NaNs; one NaN, all ones; or one NaN,
// where negative zero would be.
enum class Special : uint8_t { ieee = 0, finite = 1, unsigned_zero = 2 };

// Floating formats have a biased exponent; integers have no exponent.
struct Layout {
  uint8_t bits = 0;
  uint8_t exponent = 0;
  bool is_signed = true;
  Special special = Special::ieee;
  int16_t bias = 0;

  FAULTSIM_HD int mantissa() const { return bits - exponent - is_signed; }
  FAULTSIM_HD uint64_t all() const { return ~uint64_t{0} >> (64 - bits); }
  FAULTSIM_HD uint64_t sign() const { return is_signed ? uint64_t{1} << (bits - 1) : 0; }
  FAULTSIM_HD uint64_t magnitudes() const { return all() ^ sign(); }
  // Of the smallest normal number; a format without mantissa has no other, and no zero.
  FAULTSIM_HD int least() const { return (mantissa() ? 1 : 0) - bias; }
  // The first magnitude beyond the finite ones.
  FAULTSIM_HD uint64_t beyond() const {
    if (special == Special::unsigned_zero) return magnitudes() + 1;
    return special == Special::finite ? magnitudes() : magnitudes() >> mantissa() << mantissa();
  }
  FAULTSIM_HD uint64_t nan() const {
    if (special == Special::unsigned_zero) return sign();
    return special == Special::finite ? magnitudes() : beyond() | uint64_t{1} << (mantissa() - 1);
  }
  FAULTSIM_HD bool is_nan(uint64_t word) const {
    if (exponent == 0) return false;
    if (special == Special::unsigned_zero) return word == sign();
    const uint64_t magnitude = word & magnitudes();
    return special == Special::finite ? magnitude == magnitudes() : magnitude > beyond();
  }
};

// The number of a word without bits beyond its own; 64-bit integers are rounded to double.
FAULTSIM_HD inline double number_of(const Layout& layout, uint64_t word) {
  if (layout.exponent == 0) {
    const int unused = 64 - layout.bits;
    if (layout.is_signed)
      return static_cast<double>(static_cast<int64_t>(word << unused) >> unused);
    return static_cast<double>(word);
  }
  double number;
  if (layout.bits == 64) {
    memcpy(&number, &word, sizeof number);
    return number;
  }
  if (layout.is_nan(word)) return NAN;
  const uint64_t magnitude = word & layout.magnitudes();
  const int mantissa = layout.mantissa();
  if (magnitude >= layout.beyond()) {
    number = INFINITY;
  } else {
    const uint64_t power = magnitude >> mantissa, hidden = uint64_t{1} << mantissa;
    const bool is_normal = power > 0 || mantissa == 0;
    const uint64_t digits = (magnitude & (hidden - 1)) | (is_normal ? hidden : 0);
    const int first = mantissa ? 1 : 0;
    const int above = is_normal ? static_cast<int>(power) - first : 0;
    number = ldexp(static_cast<double>(digits), layout.least() + above - mantissa);
  }
  return word & layout.sign() ? -number : number;
}

// To the nearest integer, ties to even, and no further than the ends; NaN becomes 0.
FAULTSIM_HD inline uint64_t integer_of(const Layout& layout, double number) {
  if (number != number) return 0;
  const double whole = rint(number);
  const double end = ldexp(1.0, layout.bits - layout.is_signed);
  if (whole >= end) return layout.magnitudes();
  if (!layout.is_signed) return whole <= 0 ? 0 : static_cast<uint64_t>(whole);
  if (whole <= -end) return layout.sign();
  return static_cast<uint64_t>(static_cast<int64_t>(whole)) & layout.all();
}

// The nearest word, ties to even. What is too large becomes infinity, or NaN in a format without.
FAULTSIM_HD inline uint64_t word_of(const Layout& layout, double number) {
  if (layout.exponent == 0) return integer_of(layout, number);
  if (number != number) return layout.nan();
  uint64_t bits;
  memcpy(&bits, &number, sizeof bits);
  if (layout.bits == 64) return bits;
  const uint64_t sign = bits >> 63 ? layout.sign() : 0;
  const int mantissa = layout.mantissa(), least = layout.least();
  if (mantissa == 0 && !(number > 0)) return 0;  // no sign and no zero: the smallest is nearest
  const double size = fabs(number);
  int power = static_cast<int>(bits >> 52 & 0x7FF) - 1023;
  uint64_t magnitude = layout.beyond();
  if (power <= layout.bias + 1) {  // else too large, or infinite
    power = power > least ? power : least;
    const auto digits = static_cast<uint64_t>(rint(ldexp(size, mantissa - power)));
    magnitude = (static_cast<uint64_t>(power - least) << mantissa) + digits;
    if (mantissa == 0 && magnitude > 0) --magnitude;  // the hidden bit has no exponent to be
  }
  if (magnitude >= layout.beyond()) {
    if (layout.special != Special::ieee) return layout.nan();
    magnitude = layout.beyond();
  }
  return layout.special == Special::unsigned_zero && magnitude == 0 ? 0 : magnitude | sign;
}

}  // namespace faultsim
