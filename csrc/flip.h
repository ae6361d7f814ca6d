// Corrupt, save and restore words in place.
#pragma once
#include "bits.h"

namespace faultsim {

// Position of the first index outside [0, numel), or -1.
int64_t first_out_of_bounds(const int64_t* index, int64_t n, int64_t numel);

void read_words(const Words& words, const int64_t* index, int64_t n, int64_t* out);

// In array order, so that duplicate indices compose.
void corrupt_words(const Words& words, const Faults& faults, int64_t* saved);

// In reverse order, so that duplicates end at the word saved first.
void restore_words(const Words& words, const int64_t* index, int64_t n, const int64_t* saved);

#ifdef FAULTSIM_WITH_CUDA
// Device pointers; `order` sorts the faults by index, stably. Asynchronous on `stream`.
void read_words_cuda(const Words& words, const int64_t* index, int64_t n, int64_t* out,
                     void* stream);
void corrupt_words_cuda(const Words& words, const Faults& faults, const int64_t* order,
                        int64_t* saved, void* stream);
void restore_words_cuda(const Words& words, const int64_t* index, const int64_t* order, int64_t n,
                        const int64_t* saved, void* stream);
#endif

}  // namespace faultsim
