// What a living process tree uses of the machine.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <span>

#include "daemon/platform/process.h"

namespace plugind::platform {

/// Of the processes `pids` and, where the tree has the control group `group` (else empty), of those
/// that have ended, too.  nullopt: nothing could be read of any of them.
///
/// Processor time is the group's cpu.stat, which every group of version 2 has; else what the
/// processes and the children that they waited for used.  Memory is the group's memory.current
/// where it has that controller; else what the processes have resident, so that pages they share
/// count several times.
std::optional<CurrentUse> tree_use(const std::filesystem::path& group, std::span<const pid_t> pids);

}  // namespace plugind::platform
