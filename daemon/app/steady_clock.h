// plugin::Clock on the real clocks.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "daemon/plugin/clock.h"

namespace plugind::app {

class SteadyClock final : public plugin::Clock {
 public:
  explicit SteadyClock(boost::asio::any_io_executor loop) : loop_(std::move(loop)) {}
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  std::chrono::system_clock::time_point wall_now() const override {
    return std::chrono::system_clock::now();
  }
  boost::asio::awaitable<void> sleep(Duration duration) override {
    boost::asio::steady_timer timer(loop_, duration);
    co_await timer.async_wait(boost::asio::use_awaitable);
  }

 private:
  boost::asio::any_io_executor loop_;
};

}  // namespace plugind::app
