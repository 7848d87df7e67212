// Tells when a connection has been without a call for a time.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "daemon/forward/deadlines.h"

namespace plugind::forward {

/// A call costs it a look at the clock: the entry among the deadlines moves only when it is due.
class IdleWatch {
 public:
  using Duration = std::chrono::milliseconds;

  /// `idle` is called when there was no call for `bound`; 0: never.  If it changes nothing, it is
  /// called again after as long.  It may destroy the watch.
  IdleWatch(Deadlines& deadlines, Duration bound, std::function<void()> idle)
      : deadlines_(deadlines), bound_(bound), idle_(std::move(idle)) {}
  ~IdleWatch() { stop(); }
  IdleWatch(const IdleWatch&) = delete;
  IdleWatch& operator=(const IdleWatch&) = delete;

  void start() {
    since_ = deadlines_.now();
    watch_until(since_ + bound_);
  }
  void stop() {
    if (entry_) deadlines_.remove(*std::exchange(entry_, std::nullopt));
  }
  void call_began() { ++calls_; }
  void call_ended() {
    --calls_;
    if (bound_ > Duration::zero()) since_ = deadlines_.now();
  }

 private:
  void watch_until(Deadlines::TimePoint when) {
    if (bound_ <= Duration::zero()) return;
    entry_ = deadlines_.add(when, [this] { due(); });
  }
  void due() {
    entry_.reset();
    const Deadlines::TimePoint now = deadlines_.now();
    if (calls_ > 0) return watch_until(now + bound_);
    if (now < since_ + bound_) return watch_until(since_ + bound_);
    since_ = now;
    watch_until(now + bound_);
    idle_();
  }

  Deadlines& deadlines_;
  const Duration bound_;
  std::function<void()> idle_;
  Deadlines::TimePoint since_;
  std::size_t calls_ = 0;
  std::optional<Deadlines::Entry> entry_;
};

}  // namespace plugind::forward
