// Time as the domain sees it.  Unit tests bring a clock that they move by hand.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>

namespace plugind::plugin {

class Clock {
 public:
  using Duration = std::chrono::nanoseconds;
  using TimePoint = std::chrono::steady_clock::time_point;

  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual std::chrono::system_clock::time_point wall_now() const = 0;
  /// Completes after `duration`.  Honours cancellation of the awaiting coroutine.
  virtual boost::asio::awaitable<void> sleep(Duration duration) = 0;
};

}  // namespace plugind::plugin
