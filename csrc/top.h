// The k best scored bits seen so far.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "host_device.h"

namespace faultsim {

struct Ranked {
  double score;
  int64_t index;
  int64_t bit;

  FAULTSIM_HD bool operator<(const Ranked& other) const {  // better first
    if (score != other.score) return score > other.score;
    return index != other.index ? index < other.index : bit < other.bit;
  }
};

class Top {
 public:
  explicit Top(int64_t k) : k_(k), room_(k + std::max<int64_t>(k / 4, 32)) {}

  // Whether k entries are known to be better than anything below `worst`.
  bool full() const { return full_; }
  const Ranked& worst() const { return worst_; }

  void offer(const Ranked& entry) {
    if (full_ && !(entry < worst_)) return;
    entries_.push_back(entry);
    if (static_cast<int64_t>(entries_.size()) == room_) shrink();
  }

  std::vector<Ranked> take() {
    std::sort(entries_.begin(), entries_.end());
    if (static_cast<int64_t>(entries_.size()) > k_) entries_.resize(k_);
    return std::move(entries_);
  }

 private:
  void shrink() {
    std::nth_element(entries_.begin(), entries_.begin() + (k_ - 1), entries_.end());
    entries_.resize(k_);
    worst_ = entries_.back();
    full_ = true;
  }

  int64_t k_, room_;
  bool full_ = false;
  Ranked worst_{};
  std::vector<Ranked> entries_;
};

}  // namespace faultsim
