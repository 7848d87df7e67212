// Reaping a first process: how it ended and what it used.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/platform/process.h"

namespace plugind::platform {

/// What is known of a child while it lives.
struct ChildFacts {
  pid_t pid = -1;
  std::uint32_t uid = 0, gid = 0;
  std::string directory;  ///< Where it was started.
  /// The most memory that this process had resident until after the child's exec.  The kernel
  /// counts that as the child's own: the child shared our memory until then.
  std::uint64_t inherited_peak = 0;
};

/// The most memory that this process has had resident, in bytes.
std::uint64_t own_peak_memory();

enum class Reap { kWait, kNow };

/// Waits for the child and reaps it; with kNow: nothing if it has not ended.  Nothing, too, if it
/// is not there to be reaped.
std::optional<ExitStatus> reap_child(const ChildFacts& child, Reap when);

}  // namespace plugind::platform
