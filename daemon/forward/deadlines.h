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
  using Now = TimePoint (*)();
  using Entry = std::multimap<TimePoint, std::function<void()>>::iterator;

  /// `now` is what a test may put in the place of the time.
  explicit Deadlines(boost::asio::any_io_executor loop, Now now = std::chrono::steady_clock::now)
      : timer_(std::move(loop)), now_(now) {}

  TimePoint now() const { return now_(); }

  /// `expired` is called once at `when`, unless the entry is removed before.
  Entry add(TimePoint when, std::function<void()> expired) {
    const Entry entry = entries_.emplace(when, std::move(expired));
    if (entry == entries_.begin()) arm();
    return entry;
  }
  void remove(Entry entry) { entries_.erase(entry); }
  /// Calls back what is due.  The timer does it; tests do when they have moved the time.
  void expire() {
    const TimePoint now = now_();
    while (!entries_.empty() && entries_.begin()->first <= now) {
      const auto node = entries_.extract(entries_.begin());
      node.mapped()();
    }
    if (!entries_.empty()) arm();
  }

 private:
  void arm() {
    timer_.expires_at(entries_.begin()->first);
    timer_.async_wait([this](const boost::system::error_code& ec) {
      if (!ec) expire();
    });
  }
  boost::asio::steady_timer timer_;
  Now now_;
  std::multimap<TimePoint, std::function<void()>> entries_;
};

}  // namespace plugind::forward
