// How many calls of a loop are at plugins and under way, for who decides whether to sleep.
#pragma once

#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <cstdint>

namespace plugind::forward {

/// Counts the calls that were passed on to a plugin and have not ended.  A call that many later
/// ones have overtaken is not counted any more: a stream that stays open says nothing about how
/// busy hosts and plugins are.
class CallsAtPlugins {
 public:
  /// So many have to begin after a call until it is not counted.  More than a host has in flight by
  /// the way, but few enough that a stream that has been opened is soon overtaken.
  static constexpr std::uint64_t kOvertakenBy = 64;

  /// Part of a call.  It must have ended before it goes.
  class Entry : public boost::intrusive::list_base_hook<> {
    friend CallsAtPlugins;
    std::uint64_t number_ = 0;
  };

  void begin(Entry& entry) {
    entry.number_ = ++begun_;
    calls_.push_back(entry);
    while (begun_ - calls_.front().number_ >= kOvertakenBy) calls_.pop_front();
  }
  void end(Entry& entry) {
    if (entry.is_linked()) calls_.erase(calls_.iterator_to(entry));
  }
  std::size_t count() const { return calls_.size(); }

 private:
  boost::intrusive::list<Entry> calls_;  // In the order in which they began.
  std::uint64_t begun_ = 0;
};

}  // namespace plugind::forward
