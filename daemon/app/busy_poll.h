// When the loop looks for events instead of sleeping.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace plugind::app {

/// Waking a process that sleeps takes longer than most of what the daemon does.  So where calls
/// follow each other one by one, the loop looks for a while before it sleeps.  With more calls at
/// plugins somebody else needs the processor; and where looking finds nothing, because the plugin
/// works longer or the host pauses, it is left out for a while, each time twice as long.
class BusyPoll {
 public:
  using Duration = std::chrono::nanoseconds;

  /// Looks up to `longest` before a sleep; zero: never.
  explicit BusyPoll(Duration longest) : longest_(longest) {}

  /// How long to look, now that there is nothing to do and so many calls are at plugins.  Zero:
  /// sleep at once.
  Duration before_sleep(std::size_t calls_at_plugins);
  /// What became of the look that before_sleep() asked for.
  void looked(bool found);

 private:
  /// Waits for a plugin's answer and for a host's next call are told apart: one may be long where
  /// the other is short.
  struct Wait {
    std::uint32_t failures = 0;  ///< In a row.
    std::uint32_t left_out = 0;  ///< So many sleeps without a look are to come.
    std::uint32_t pause = 0;     ///< So many there were the last time.
  };

  const Duration longest_;
  std::array<Wait, 2> waits_;
  std::uint32_t crowded_ = 0;  // So many sleeps ago at most there were several calls at plugins.
  Wait* current_ = nullptr;
};

}  // namespace plugind::app
