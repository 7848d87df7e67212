// Whether the kernel's out-of-memory killer has ended a process.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "daemon/platform/process.h"

namespace plugind::platform {

/// What a control group counts for itself and those below it (memory.events, "Control Group v2" of
/// the kernel's documentation).
struct MemoryEvents {
  std::uint64_t over_limit = 0;  ///< Times that its own limit left no memory.
  std::uint64_t kills = 0;       ///< Processes killed, whatever had no memory left.
};

/// Absent where the group has no memory controller.
std::optional<MemoryEvents> memory_events_of(const std::filesystem::path& group);

/// Processes killed on the machine since it was started (/proc/vmstat, Linux 4.13).
std::optional<std::uint64_t> memory_kills_of_machine();

/// Whether the first process of a tree ended like this because the system had no memory left.
/// `group`: of the tree's own control group, if it counts.  `machine`: how many processes of the
/// machine were killed in the process's time; asked only if the group does not count.
MemoryKill judge(const ExitStatus& status, const std::optional<MemoryEvents>& group,
                 std::uint64_t machine);

}  // namespace plugind::platform
