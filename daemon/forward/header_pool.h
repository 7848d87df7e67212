// Header lists that have been used, for their memory.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "proto/wire/header_list.h"

namespace plugind::forward {

/// A call needs several lists for a short time; with many calls at a time malloc() is slow for
/// them.
class HeaderPool {
 public:
  HeaderPool() { lists_.reserve(kMost); }

  /// An empty list, perhaps with memory.
  wire::HeaderList take() {
    if (lists_.empty()) return {};
    wire::HeaderList list = std::move(lists_.back());
    lists_.pop_back();
    return list;
  }
  /// Takes what is no longer needed, unless it is large or there is enough.
  void give(wire::HeaderList&& list) {
    if (list.capacity() == 0 || list.capacity() > kLargest || lists_.size() == kMost) return;
    list.clear();
    lists_.push_back(std::move(list));
  }

 private:
  static constexpr std::size_t kMost = 64;
  static constexpr std::size_t kLargest = 4 << 10;
  std::vector<wire::HeaderList> lists_;
};

}  // namespace plugind::forward
