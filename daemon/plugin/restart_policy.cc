#include "daemon/plugin/restart_policy.h"

#include <algorithm>

namespace plugind::plugin {

namespace {
// Enough for the shortest pause that there is to have become the longest.
constexpr std::uint32_t kMostInARow = 64;
}  // namespace

void FailureHistory::forget_old(Clock::TimePoint now, const Manifest& manifest) {
  while (!failures_.empty() && now - failures_.front() > manifest.restart_window) {
    failures_.pop_front();
  }
}

void FailureHistory::record(Clock::TimePoint now, Clock::Duration ready_for,
                            const Manifest& manifest) {
  forget_old(now, manifest);
  failures_.push_back(now);
  const std::size_t most = std::max<std::size_t>(manifest.restart_limit, 1);
  if (failures_.size() > most) failures_.pop_front();
  record_end(now, ready_for, manifest);
}

void FailureHistory::record_end(Clock::TimePoint now, Clock::Duration ready_for,
                                const Manifest& manifest) {
  if (ready_for >= manifest.restart_window) in_a_row_ = 0;
  in_a_row_ = std::min(in_a_row_ + 1, kMostInARow);
  last_ = now;
}

void FailureHistory::clear() {
  failures_.clear();
  in_a_row_ = 0;
}

bool FailureHistory::limit_reached(Clock::TimePoint now, const Manifest& manifest) {
  forget_old(now, manifest);
  return manifest.restart_limit > 0 && failures_.size() >= manifest.restart_limit;
}

/// How long the start after the last failure has to wait, counted from that.
Clock::Duration FailureHistory::pause(const Manifest& manifest) const {
  if (in_a_row_ < 2) return Clock::Duration::zero();
  Clock::Duration pause = manifest.restart_backoff;
  const Clock::Duration top = std::max(manifest.restart_backoff, manifest.restart_backoff_max);
  for (std::uint32_t i = 2; i < in_a_row_ && pause < top; ++i) pause *= 2;
  return std::min(pause, top);
}

Clock::Duration FailureHistory::delay(Clock::TimePoint now, const Manifest& manifest) {
  const Clock::Duration pause = this->pause(manifest);
  const Clock::Duration passed = now - last_;
  if (passed > pause + manifest.restart_window) in_a_row_ = 0;
  return std::max(Clock::Duration::zero(), pause - passed);
}

bool restarts_by_itself(const Manifest& manifest, bool failed) {
  if (manifest.scope != Scope::kShared) return false;  // Its host asks again when it needs it.
  switch (manifest.restart_policy) {
    case RestartPolicy::kNever:
      return false;
    case RestartPolicy::kOnFailure:
      return failed;
    case RestartPolicy::kAlways:
      return true;
  }
  return false;
}

}  // namespace plugind::plugin
