// The deadlines of calls: one timer for all of them.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <map>

namespace plugind::forward {

class Deadlines {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Entry = std::multimap<TimePoint, std::function<void()>>::iterator;

  explicit Deadlines(boost::asio::any_io_executor loop) : timer_(std::move(loop)) {}

  /// `expired` is called once at `when`, unless the entry is removed before.
  Entry add(TimePoint when, std::function<void()> expired) {
    const Entry entry = entries_.emplace(when, std::move(expired));
    if (entry == entries_.begin()) arm();
    return entry;
  }
  void remove(Entry entry) { entries_.erase(entry); }

 private:
  void arm() {
    timer_.expires_at(entries_.begin()->first);
    timer_.async_wait([this](const boost::system::error_code& ec) {
      if (!ec) expire();
    });
  }
  void expire() {
    const TimePoint now = std::chrono::steady_clock::now();
    while (!entries_.empty() && entries_.begin()->first <= now) {
      const auto node = entries_.extract(entries_.begin());
      node.mapped()();
    }
    if (!entries_.empty()) arm();
  }

  boost::asio::steady_timer timer_;
  std::multimap<TimePoint, std::function<void()>> entries_;
};

}  // namespace plugind::forward
