// How many calls there are, counted by several loops that share nothing on a call's path.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace plugind::plugin {

/// Calls that began and that are in flight.  Each loop ("lane") writes memory of its own; whoever
/// wants to know adds it up.
class CallCounts {
 public:
  explicit CallCounts(std::size_t lanes) : lanes_(lanes) {}

  void started(std::size_t lane) { add(lanes_[lane].started); }
  void finished(std::size_t lane) { add(lanes_[lane].finished); }
  std::uint64_t total() const { return sum(&Lane::started); }
  std::uint64_t in_flight() const {
    // In this order: one that ends in between is not counted as less than none.
    const std::uint64_t finished = sum(&Lane::finished);
    return sum(&Lane::started) - finished;
  }

 private:
  static constexpr std::size_t kCacheLine = 64;
  struct alignas(kCacheLine) Lane {
    std::atomic<std::uint64_t> started = 0;
    std::atomic<std::uint64_t> finished = 0;
  };
  // No other thread writes it.
  static void add(std::atomic<std::uint64_t>& count) {
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  std::uint64_t sum(std::atomic<std::uint64_t> Lane::*count) const {
    std::uint64_t sum = 0;
    for (const Lane& lane : lanes_) sum += (lane.*count).load(std::memory_order_acquire);
    return sum;
  }
  std::vector<Lane> lanes_;
};

/// The places that calls.max_concurrent allows.  Any thread.
class CallPlaces {
 public:
  CallPlaces(std::uint32_t most, std::size_t lanes)
      : batch_(lanes == 1 ? most
                          : std::clamp<std::uint32_t>(
                                most / (kShare * static_cast<std::uint32_t>(lanes)), 1, 64)),
        free_(most) {}

  /// How many a lane takes and gives back at a time.
  std::uint32_t batch() const { return batch_; }
  /// Takes up to a batch; 0: none is left.
  std::uint32_t take() {
    std::uint32_t free = free_.load(std::memory_order_relaxed);
    while (free > 0) {
      const std::uint32_t taken = std::min(free, batch_);
      if (free_.compare_exchange_weak(free, free - taken, std::memory_order_relaxed)) return taken;
    }
    return 0;
  }
  void give(std::uint32_t places) { free_.fetch_add(places, std::memory_order_relaxed); }

 private:
  // A lane keeps at most two batches that it does not use, so that others have at least
  // 1 - 2 / kShare of the places.  A small number of places is never kept.
  static constexpr std::uint32_t kShare = 32;
  const std::uint32_t batch_;
  std::atomic<std::uint32_t> free_;
};

/// One lane's part of them.
class LanePlaces {
 public:
  explicit LanePlaces(std::shared_ptr<CallPlaces> all) : all_(std::move(all)) {}
  ~LanePlaces() { all_->give(unused_); }
  LanePlaces(const LanePlaces&) = delete;
  LanePlaces& operator=(const LanePlaces&) = delete;

  /// False: all are taken.
  bool take() {
    if (unused_ == 0) unused_ = all_->take();
    if (unused_ == 0) return false;
    --unused_;
    return true;
  }
  void give() {
    ++unused_;
    const std::uint32_t batch = all_->batch();
    if (batch == 1 || unused_ > 2 * std::uint64_t{batch}) {
      all_->give(batch);
      unused_ -= batch;
    }
  }

 private:
  std::shared_ptr<CallPlaces> all_;
  std::uint32_t unused_ = 0;
};

}  // namespace plugind::plugin
