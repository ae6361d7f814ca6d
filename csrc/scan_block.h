// One vector of channels of one sample: its rows, laid out step by step.
#pragma once
#include "scan_kernel.h"
#include "scan_math.h"
#include "transpose.h"

namespace faultsim {
namespace {

// A vector holds channels, not states: nothing is summed across its lanes in the recurrence, and B
// and C are the same for all of them. Lanes beyond the group's channels are zero.
template <class Real>
struct Block {
  static constexpr int width = Vector<Real>::lanes;

  Block(const ScanJob& job, int64_t sample, int64_t group, int64_t number) : job(job) {
    const int64_t channels = job.dim / job.groups, first = number * width;
    this->sample = sample;
    channel = group * channels + first;
    lanes = static_cast<int>(channels - first < width ? channels - first : width);
    b = matrix(job.B, group);
    c = matrix(job.C, group);
    skip = per_channel(job.D);
    bias = per_channel(job.bias);
  }

  static int64_t count(const ScanJob& job) { return (job.dim / job.groups + width - 1) / width; }

  // A in units of log2, so that exp(step * A) is 2^(step * rate). Returns the largest magnitude,
  // or a NaN if there is one.
  Real load_rates(V<Real>* rate) const {
    Real most = 0;
    for (int64_t n = 0; n < job.state; ++n) {
      rate[n] = V<Real>{};
      for (int lane = 0; lane < lanes; ++lane) {
        const Real value = static_cast<const Real*>(job.A)[(channel + lane) * job.state + n] *
                           static_cast<Real>(kLog2E);
        rate[n][lane] = value;
        most = larger(most, value < 0 ? -value : value);
      }
    }
    return most;
  }

  void load(const void* rows, int64_t from, int steps, V<Real>* out) const {
    if (lanes < width)
      for (int t = 0; t < steps; ++t) out[t] = V<Real>{};
    const Real* first = static_cast<const Real*>(rows) + offset() + from;
    transpose<Real>(first, job.length, lanes, steps, reinterpret_cast<Real*>(out), width);
  }

  void store(const V<Real>* in, int64_t from, int steps, void* rows) const {
    Real* first = static_cast<Real*>(rows) + offset() + from;
    transpose<Real>(reinterpret_cast<const Real*>(in), width, steps, lanes, first, job.length);
  }

  // Step sizes from delta; raw becomes delta with the bias, before the softplus. Whether all of
  // 2^(step * rate) is ordinary.
  bool load_steps(int64_t from, int steps, Real most_rate, V<Real>* raw, V<Real>* step) const {
    load(job.delta, from, steps, raw);
    I<Real> near = I<Real>{} - 1;
    for (int t = 0; t < steps; ++t) {
      raw[t] += bias;
      step[t] = job.softplus ? softplus<Real>(raw[t]) : raw[t];
      const V<Real> size = step[t] * most_rate;
      near &= (size < Numbers<Real>::bias - 2) & (size > 2 - Numbers<Real>::bias);
    }
    for (int lane = 0; lane < width; ++lane)
      if (near[lane] == 0) return false;
    return true;
  }

  // B and C of a tile, step by step; in place, the distance of states may be a power of two, which
  // caches dislike.
  void load_matrices(int64_t from, int steps, Real* b, Real* c) const {
    transpose<Real>(this->b + from, job.length, job.state, steps, b, job.state);
    if (c != nullptr) transpose<Real>(this->c + from, job.length, job.state, steps, c, job.state);
  }

  const ScanJob& job;
  int64_t sample, channel;
  int lanes;
  const Real *b, *c;  // (state, length)
  V<Real> skip, bias;

 private:
  int64_t offset() const { return (sample * job.dim + channel) * job.length; }

  const Real* matrix(const void* all, int64_t group) const {
    return static_cast<const Real*>(all) + (sample * job.groups + group) * job.state * job.length;
  }

  V<Real> per_channel(const void* values) const {
    V<Real> out{};
    if (values != nullptr)
      for (int lane = 0; lane < lanes; ++lane)
        out[lane] = static_cast<const Real*>(values)[channel + lane];
    return out;
  }
};

inline int tile_steps(const ScanJob& job, int64_t from, int most) {
  return static_cast<int>(job.length - from < most ? job.length - from : most);
}

// Cuts arrays off one piece of memory; without any it only counts the bytes.
class Carver {
 public:
  explicit Carver(void* memory) : memory_(static_cast<char*>(memory)) {}

  template <class Element>
  Element* take(int64_t n) {
    char* at = memory_ == nullptr ? nullptr : memory_ + used_;
    const int64_t bytes = n * static_cast<int64_t>(sizeof(Element));
    used_ += (bytes + kVectorBytes - 1) / kVectorBytes * kVectorBytes;
    return reinterpret_cast<Element*>(at);
  }

  int64_t used() const { return used_; }

 private:
  char* memory_;
  int64_t used_ = 0;
};

template <class Real, bool near>
inline V<Real> decay_of(V<Real> exponent) {
  if constexpr (near) return exp2_near<Real>(exponent);
  return exp2_far<Real>(exponent);
}

}  // namespace
}  // namespace faultsim
