// A clock that stands still until a test moves it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <list>

#include "daemon/plugin/clock.h"

namespace plugind::testing {

/// Runs the loop until nothing is ready.  Never blocks.
void run_ready(boost::asio::io_context& loop);

class ManualClock : public plugin::Clock {
 public:
  explicit ManualClock(boost::asio::io_context& loop) : loop_(loop) {}

  TimePoint now() const override { return now_; }
  std::chrono::system_clock::time_point wall_now() const override;
  boost::asio::awaitable<void> sleep(Duration duration) override;

  /// Moves time forward, stopping at every moment for which somebody sleeps, and runs the loop
  /// until nothing is ready before, at each of them, and after.
  void advance(Duration duration);
  /// How many coroutines sleep.
  std::size_t sleepers() const { return sleepers_.size(); }

 private:
  struct Sleeper;

  boost::asio::io_context& loop_;
  TimePoint now_{std::chrono::hours(1)};
  std::list<Sleeper*> sleepers_;
};

}  // namespace plugind::testing
