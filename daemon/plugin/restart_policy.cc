#include "daemon/plugin/restart_policy.h"

#include <algorithm>

namespace plugind::plugin {

namespace {
// Failures remembered where restart.limit sets no bound; enough for the backoff to reach its top.
constexpr std::size_t kRemembered = 64;
}  // namespace

void FailureHistory::forget_old(Clock::TimePoint now, const Manifest& manifest) {
  while (!failures_.empty() && now - failures_.front() > manifest.restart_window) {
    failures_.pop_front();
  }
}

void FailureHistory::record(Clock::TimePoint now, const Manifest& manifest) {
  forget_old(now, manifest);
  failures_.push_back(now);
  const std::size_t most = std::max<std::size_t>(manifest.restart_limit, kRemembered);
  if (failures_.size() > most) failures_.pop_front();
}

bool FailureHistory::limit_reached(Clock::TimePoint now, const Manifest& manifest) {
  forget_old(now, manifest);
  return manifest.restart_limit > 0 && failures_.size() >= manifest.restart_limit;
}

Clock::Duration FailureHistory::delay(Clock::TimePoint now, const Manifest& manifest) {
  forget_old(now, manifest);
  if (failures_.size() < 2) return Clock::Duration::zero();
  Clock::Duration delay = manifest.restart_backoff;
  const Clock::Duration top = std::max(manifest.restart_backoff, manifest.restart_backoff_max);
  for (std::size_t i = 2; i < failures_.size() && delay < top; ++i) delay *= 2;
  delay = std::min(delay, top);
  // What has passed since the failure counts.
  return std::max(Clock::Duration::zero(), delay - (now - failures_.back()));
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
