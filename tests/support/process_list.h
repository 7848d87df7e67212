// Which processes there are, as /proc tells.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

namespace plugind::testing {

/// The living processes whose environment has the variable `name` with exactly this value.
std::vector<pid_t> processes_with(const std::string& name, const std::string& value);

/// The children of a process, zombies included.
std::vector<pid_t> children_of(pid_t pid);

/// Whether it runs: a zombie does not.
bool alive(pid_t pid);

/// The number of descriptors that a process has open.
std::size_t descriptors_of(pid_t pid);

/// "4711 (name)", for messages.
std::string describe(const std::vector<pid_t>& pids);

}  // namespace plugind::testing
