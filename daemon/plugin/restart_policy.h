// When a plugin that failed may start again.  Pure arithmetic on times that are handed in.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "daemon/plugin/clock.h"
#include "daemon/plugin/manifest.h"

namespace plugind::plugin {

/// The failures of one host's (or a shared plugin's) instances.  Two questions, two memories: a
/// crash loop is many failures within restart.window, however they came about; the pause grows with
/// failures in a row, however long each took, until something was stable in between.
class FailureHistory {
 public:
  /// `ready_for`: how long the instance that failed had been ready; zero: it never was.  With
  /// restart.window it was stable, and what failed before it is of no matter for the pause.
  void record(Clock::TimePoint now, Clock::Duration ready_for, const Manifest& manifest);
  /// The same for an instance that ended by itself, which is no failure but must not be started
  /// again and again without a pause either (restart.policy "always").
  void record_end(Clock::TimePoint now, Clock::Duration ready_for, const Manifest& manifest);
  void clear();
  /// Whether restart.limit failures fell within restart.window.  Never with restart.limit = 0.
  bool limit_reached(Clock::TimePoint now, const Manifest& manifest);
  /// How long the next start, which is wanted now, has to wait: nothing after one failure, then
  /// restart.backoff, doubling with each further failure in a row up to restart.backoff_max.  The
  /// row ends, too, where nobody wanted a start for restart.window beyond that pause.
  Clock::Duration delay(Clock::TimePoint now, const Manifest& manifest);
  /// Within restart.window, as of the last question.
  std::size_t count() const { return failures_.size(); }

 private:
  void forget_old(Clock::TimePoint now, const Manifest& manifest);
  Clock::Duration pause(const Manifest& manifest) const;
  std::deque<Clock::TimePoint> failures_;
  std::uint32_t in_a_row_ = 0;
  Clock::TimePoint last_{};
};

/// Whether an instance that ended is started again without a call asking for it.
bool restarts_by_itself(const Manifest& manifest, bool failed);

}  // namespace plugind::plugin
