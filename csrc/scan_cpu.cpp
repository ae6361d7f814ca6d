// Hands the tasks of a scan to threads. What a task computes does not depend on their number.
#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "float_mode.h"
#include "isa.h"
#include "parallel.h"
#include "scan_kernel.h"
#include "state_operators.h"

namespace faultsim {
namespace {

const ScanKernels& kernels(const ScanJob& job) {
#ifdef __x86_64__
  if (isa() == Isa::avx512) return job.is_double ? avx512::scan_double : avx512::scan_float;
  if (isa() == Isa::avx2) return job.is_double ? avx2::scan_double : avx2::scan_float;
#endif
  return job.is_double ? baseline::scan_double : baseline::scan_float;
}

// Calls body(task, scratch) for every task, each thread with aligned scratch of its own. Threads
// take the next task as it comes, for one that shares its core with other work gets less done.
template <class Body>
void run_tasks(int64_t tasks, int64_t scratch, int threads, Body body) {
  constexpr size_t alignment = 64;
  threads = static_cast<int>(std::clamp<int64_t>(tasks, 1, threads));
  std::atomic<int64_t> next{0};
  parallel_for(threads, threads, [&](int, int64_t, int64_t) {
    const FloatMode mode;
    size_t space = static_cast<size_t>(scratch) + alignment;
    const std::unique_ptr<char[]> memory(new char[space]);
    void* aligned = memory.get();
    std::align(alignment, static_cast<size_t>(scratch), aligned, space);
    for (int64_t task = next++; task < tasks; task = next++) body(task, aligned);
  });
}

// The gradients of parameters, sample by sample, to be summed in the order of samples.
template <class Real>
class Partial {
 public:
  Partial(void* out, int64_t samples, int64_t n)
      : out_(static_cast<Real*>(out)), n_(n), parts_(out == nullptr ? 0 : samples * n) {}

  void* of(int64_t sample) { return out_ == nullptr ? nullptr : parts_.data() + sample * n_; }

  void sum() {
    if (out_ == nullptr) return;
    std::fill(out_, out_ + n_, Real{});
    for (size_t i = 0; i < parts_.size(); ++i) out_[static_cast<int64_t>(i) % n_] += parts_[i];
  }

 private:
  Real* out_;
  int64_t n_;
  std::vector<Real> parts_;
};

template <class Real>
void backward(const ScanJob& job, const ScanGrads& grads, int threads) {
  Partial<Real> dA(grads.dA, job.batch, job.dim * job.state);
  Partial<Real> dD(grads.dD, job.batch, job.dim), dbias(grads.dbias, job.batch, job.dim);
  const ScanKernels& kernel = kernels(job);
  run_tasks(job.batch * job.groups, kernel.backward_scratch(job), threads,
            [&](int64_t task, void* scratch) {
              ScanGrads own = grads;
              const int64_t sample = task / job.groups;
              own.dA = dA.of(sample);
              own.dD = dD.of(sample);
              own.dbias = dbias.of(sample);
              kernel.backward(job, own, task, scratch);
            });
  dA.sum();
  dD.sum();
  dbias.sum();
}

}  // namespace

uint64_t made_state(uint64_t word, int bits, const StateFault& fault) {
  return state_word(word, bits, fault);
}

void scan_forward(const ScanJob& job, int threads) {
  const ScanKernels& kernel = kernels(job);
  run_tasks(kernel.forward_tasks(job), kernel.forward_scratch(job), threads,
            [&](int64_t task, void* scratch) { kernel.forward(job, task, scratch); });
}

void scan_backward(const ScanJob& job, const ScanGrads& grads, int threads) {
  job.is_double ? backward<double>(job, grads, threads) : backward<float>(job, grads, threads);
}

}  // namespace faultsim
