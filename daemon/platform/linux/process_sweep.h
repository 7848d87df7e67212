// Finding and ending processes without the kernel's help: by who descends from whom.
#pragma once

#include <functional>
#include <set>
#include <vector>

#include "daemon/platform/linux/proc_fs.h"

namespace plugind::platform {

/// Adds to `members` (pids) everything that descends from one of them.
void add_descendants(const std::vector<ProcessInfo>& all, std::set<pid_t>& members);

/// Ends every process that `find` finds.  They are stopped first, until a search finds no new one:
/// a stopped process does not fork, and as long as the parents live who descends from whom does not
/// change.  `find` returns living processes only and is called a bounded number of times.
void stop_and_kill(const std::function<std::vector<ProcessId>()>& find);

/// The living descendants of `root`, without itself.
std::vector<ProcessId> living_descendants(pid_t root);

}  // namespace plugind::platform
