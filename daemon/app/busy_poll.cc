#include "daemon/app/busy_poll.h"

#include <algorithm>

namespace plugind::app {

namespace {
// Now and then a wait is longer than usual: only this many failures in a row mean something.
constexpr std::uint32_t kFailuresInARow = 2;
// Many calls in flight are now and then all answered but one.
constexpr std::uint32_t kCrowdedFor = 64;
constexpr std::uint32_t kShortestPause = 16;
constexpr std::uint32_t kLongestPause = 4096;
}  // namespace

BusyPoll::Duration BusyPoll::before_sleep(std::size_t calls_at_plugins) {
  if (calls_at_plugins >= waits_.size()) crowded_ = kCrowdedFor;
  if (crowded_ > 0) {
    --crowded_;
    return Duration::zero();
  }
  current_ = &waits_[calls_at_plugins];
  if (current_->left_out == 0) return longest_;
  --current_->left_out;
  return Duration::zero();
}

void BusyPoll::looked(bool found) {
  Wait& wait = *current_;
  if (found) {
    wait = {};
  } else if (++wait.failures >= kFailuresInARow) {
    wait.pause = std::clamp(wait.pause * 2, kShortestPause, kLongestPause);
    wait.left_out = wait.pause;
    wait.failures = kFailuresInARow - 1;  // After the pause one look decides.
  }
}

}  // namespace plugind::app
