// What /proc tells about processes.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <compare>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace plugind::platform {

/// Names one process for good: a pid is used again, a pid with its start time is not.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start_time = 0;  ///< Clock ticks since boot.
  auto operator<=>(const ProcessId&) const = default;
};

struct ProcessInfo {
  ProcessId id;
  pid_t parent = 0;
  pid_t session = 0;
  /// False for a zombie.  A process whose main thread has ended while others run is no zombie.
  bool living = false;
};

std::optional<ProcessInfo> process_info(pid_t pid);

/// What a process uses of the machine.
struct ProcessUse {
  std::chrono::microseconds cpu_time{0};  ///< The children that it waited for included.
  std::uint64_t resident = 0;             ///< Bytes.
};

std::optional<ProcessUse> process_use(pid_t pid);

/// The text of a file of /proc or of a control group that is known to be small, at most 64 KiB of
/// it; "" if it cannot be read.
std::string read_small_file(const std::filesystem::path& path);

/// Every process that we may see, in ascending order of pid.
std::vector<ProcessInfo> all_processes();

/// The descendants of `root`, without itself, zombies included; in ascending order of pid.  Cheap
/// where the kernel lists children (CONFIG_PROC_CHILDREN), as it does in every common distribution;
/// otherwise everything is searched.  While processes end, one that lives may be missed: look
/// again.
std::vector<ProcessInfo> descendants(pid_t root);

/// True if the environment that the process was started with holds `entry` ("NAME=value").  False
/// if it cannot be read.
bool environment_has(pid_t pid, const std::string& entry);

/// Sends a signal to exactly that process.  False if it is gone or we may not.
bool signal_process(const ProcessId& id, int signal);

}  // namespace plugind::platform
