// The selective scan of Mamba, forward and backward, with faults in its hidden state.
#pragma once
#include <cstdint>

namespace faultsim {

// Strikes one word of the hidden state after the update of a step, before it is read out: word
// becomes (word & keep) ^ toggle. Where an operator is named, what it makes of the word stands in
// the bits that are not kept.
struct StateFault {
  int64_t batch;  // -1 for every sample
  int64_t channel;
  int64_t state;
  int64_t step;
  uint64_t keep;
  uint64_t toggle;
  int64_t op = 0;
  int64_t operand = 0;
  uint64_t random = 0;
};

// What the operator of a fault makes of a word of so many bits, 32 or 64.
uint64_t made_state(uint64_t word, int bits, const StateFault& fault);

// Contiguous arrays of float, or of double if is_double. u, delta, y: (batch, dim, length);
// A: (dim, state); B, C: (batch, groups, state, length); D, bias: (dim) or null.
struct ScanJob {
  bool is_double;
  int64_t batch, dim, groups, length, state;
  const void *u, *delta, *A, *B, *C, *D, *bias;
  bool softplus;
  void* y;
  const StateFault* faults;  // sorted by step
  int64_t n_faults;
  bool is_narrow = false;  // u, delta, B, C and y in bfloat16; for blocks of threads only
};

// Gradients have the shapes of what they belong to; dD and dbias may be null.
struct ScanGrads {
  const void* dy;
  void *du, *ddelta, *dA, *dB, *dC, *dD, *dbias;
};

void scan_forward(const ScanJob& job, int threads);
void scan_backward(const ScanJob& job, const ScanGrads& grads, int threads);

}  // namespace faultsim
