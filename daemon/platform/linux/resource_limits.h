// What holds each of a tree's limits: its control group where that can, else setrlimit.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <expected>
#include <filesystem>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/platform/tree_limits.h"

namespace plugind::platform {

struct ProcessLimit {
  int resource;  ///< RLIMIT_…
  rlim_t value;
};

struct LimitPlan {
  std::vector<ProcessLimit> process_limits;  ///< For the child to set, before it changes its user.
  std::vector<HeldLimit> held;               ///< One for each limit that was asked for.
};

/// Who the program runs as; decides whether the kernel can count its processes.
struct ProgramUser {
  uid_t uid = 0;
  bool own = true;  ///< The daemon's own user.
};

/// Sets what `group` can hold (empty: there is none), and plans the rest.  Error
/// (IsolationUnavailable): nothing holds a limit here and they are required.
std::expected<LimitPlan, Error> plan_limits(const ResourceLimits& limits,
                                            const std::filesystem::path& group, ProgramUser user);

}  // namespace plugind::platform
