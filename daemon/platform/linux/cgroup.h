// Control groups, version 2: finding our own, making groups below it, ending what is in them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {

/// The directory of the group that the calling process was started in, wherever version 2 is
/// mounted
/// (/sys/fs/cgroup, or /sys/fs/cgroup/unified beside version 1).  Empty if there is none.  The
/// daemon itself may have moved below it: see cgroup_limits.h.
std::optional<std::filesystem::path> own_cgroup();

/// The living processes of a group and of the groups below it, in ascending order.
std::vector<pid_t> cgroup_pids(const std::filesystem::path& group);
/// Sends a signal to each of them.
void cgroup_signal(const std::filesystem::path& group, int signal);
/// Ends all of them at once (SIGKILL); nothing forks its way out.
void cgroup_kill(const std::filesystem::path& group);
/// False when no process is left in it or below; also when the group does not exist.
bool cgroup_populated(const std::filesystem::path& group);
/// Removes the group with the groups below it.  False if that did not work (yet): a process that
/// has just been killed holds its group for a moment.
bool cgroup_remove(const std::filesystem::path& group);
/// Kills, waits for the end (at most `bound`), removes.  Blocks.
bool cgroup_destroy(const std::filesystem::path& group, std::chrono::milliseconds bound);

/// The name of the group that holds the trees of the daemon `daemon`, below its own group.
std::string daemon_cgroup_name(pid_t daemon);

/// The group "plugind-PID" below our own, locked as long as the object lives, which tells others
/// that its daemon lives.
class DaemonCgroup {
 public:
  /// Also destroys the groups that dead daemons left beside it.  Error: why there can be none.
  static std::expected<DaemonCgroup, Error> make();

  const std::filesystem::path& path() const { return path_; }
  /// Why the groups below it can hold not all limits; "" if they can.
  const std::string& lacks() const { return lacks_; }

 private:
  DaemonCgroup(std::filesystem::path path, UniqueFd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  std::filesystem::path path_;
  UniqueFd lock_;
  std::string lacks_;
};

}  // namespace plugind::platform
