// How often the kernel's out-of-memory killer has killed processes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace plugind::platform {

/// Of one control group and those below it, whatever had no memory left: the group or the machine
/// (memory.events, "Control Group v2" of the kernel's documentation).  Absent where the group has
/// no memory controller.
std::optional<std::uint64_t> memory_kills_in(const std::filesystem::path& group);

/// Of the machine, since it has been started, with all control groups (/proc/vmstat, Linux 4.13).
std::optional<std::uint64_t> memory_kills_of_machine();

}  // namespace plugind::platform
