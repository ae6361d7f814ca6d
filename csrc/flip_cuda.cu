#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "flip.h"

namespace faultsim {
namespace {

constexpr int kThreads = 256;

template <class Word>
__global__ void read_kernel(Words words, const int64_t* index, int64_t n, int64_t* out) {
  const int64_t i = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x;
  if (i < n) out[i] = static_cast<const Word*>(words.data)[words.offset(index[i])];
}

template <class Word>
__global__ void corrupt_kernel(Words words, Faults faults, const int64_t* order, int64_t* saved) {
  const int64_t at = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x;
  if (at < faults.n) strike_run<Word>(words, faults, order, at, saved);
}

template <class Word>
__global__ void restore_kernel(Words words, const int64_t* index, const int64_t* order, int64_t n,
                               const int64_t* saved) {
  const int64_t at = blockIdx.x * static_cast<int64_t>(kThreads) + threadIdx.x;
  if (at < n) restore_run<Word>(words, index, order, at, saved);
}

template <class Launch>
void launch(int64_t n, int bytes, Launch kernel) {
  if (n == 0) return;
  const unsigned blocks = static_cast<unsigned>((n + kThreads - 1) / kThreads);
  with_word(bytes, [&](auto zero) { kernel(zero, blocks); });
  const cudaError_t error = cudaGetLastError();
  if (error != cudaSuccess)
    throw std::runtime_error(std::string("CUDA launch failed: ") + cudaGetErrorString(error));
}

}  // namespace

void read_words_cuda(const Words& words, const int64_t* index, int64_t n, int64_t* out,
                     void* stream) {
  launch(n, words.bytes, [&](auto zero, unsigned blocks) {
    read_kernel<decltype(zero)>
        <<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(words, index, n, out);
  });
}

void corrupt_words_cuda(const Words& words, const Faults& faults, const int64_t* order,
                        int64_t* saved, void* stream) {
  launch(faults.n, words.bytes, [&](auto zero, unsigned blocks) {
    corrupt_kernel<decltype(zero)>
        <<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(words, faults, order, saved);
  });
}

void restore_words_cuda(const Words& words, const int64_t* index, const int64_t* order, int64_t n,
                        const int64_t* saved, void* stream) {
  launch(n, words.bytes, [&](auto zero, unsigned blocks) {
    restore_kernel<decltype(zero)>
        <<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(words, index, order, n, saved);
  });
}

}  // namespace faultsim
