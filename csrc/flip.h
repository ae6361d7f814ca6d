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

}  // namespace faultsim
