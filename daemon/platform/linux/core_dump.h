// Where the kernel put the core of a process: core(5).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/platform/process.h"

namespace plugind::platform {

/// A process that dumped its core.
struct DumpedProcess {
  pid_t pid = 0;
  std::uint32_t uid = 0, gid = 0;
  int signal = 0;
  std::string directory;  ///< Its working directory, as far as that is known.
};

/// By the contents of /proc/sys/kernel/core_pattern and core_uses_pid.  Looks for the file if the
/// pattern names one: among at most 4096 entries of its directory where the name has parts that
/// only the kernel knows.
CoreDump core_of(const DumpedProcess& process, std::string_view pattern, bool uses_pid);

/// The same, by this system's own settings.
CoreDump core_of(const DumpedProcess& process);

}  // namespace plugind::platform
