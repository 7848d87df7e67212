// When a plugin that failed may start again.  Pure arithmetic on times that are handed in.
#pragma once

#include <deque>
#include <optional>

#include "daemon/plugin/clock.h"
#include "daemon/plugin/manifest.h"

namespace plugind::plugin {

/// The failures of one host's (or a shared plugin's) instances within restart.window.
class FailureHistory {
 public:
  void record(Clock::TimePoint now, const Manifest& manifest);
  void clear() { failures_.clear(); }
  /// Whether restart.limit failures fell within restart.window.  Never with restart.limit = 0.
  bool limit_reached(Clock::TimePoint now, const Manifest& manifest);
  /// How long the next start has to wait: nothing after one failure, then restart.backoff, doubling
  /// with each further failure within the window up to restart.backoff_max.
  Clock::Duration delay(Clock::TimePoint now, const Manifest& manifest);
  std::size_t count() const { return failures_.size(); }

 private:
  void forget_old(Clock::TimePoint now, const Manifest& manifest);
  std::deque<Clock::TimePoint> failures_;
};

/// Whether an instance that ended is started again without a call asking for it.
bool restarts_by_itself(const Manifest& manifest, bool failed);

}  // namespace plugind::plugin
