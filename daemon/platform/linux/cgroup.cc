#include "daemon/platform/linux/cgroup.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "daemon/platform/guardian.h"
#include "daemon/platform/linux/cgroup_limits.h"
#include "daemon/platform/posix/errno_error.h"

namespace plugind::platform {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "plugind-";
constexpr int kMaxDepth = 32;

bool write_file(const fs::path& path, std::string_view text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<fs::path> subgroups(const fs::path& group) {
  std::vector<fs::path> result;
  std::error_code ec;
  for (fs::directory_iterator it(group, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code ignored;
    // The listing tells what each is, and nothing there is a link.
    if (it->is_directory(ignored)) result.push_back(it->path());
  }
  return result;
}

void collect_pids(const fs::path& group, int depth, std::vector<pid_t>& result) {
  std::ifstream file(group / "cgroup.procs");
  // A process of another pid namespace shows as 0.
  for (pid_t pid; file >> pid;) {
    if (pid > 0) result.push_back(pid);
  }
  if (depth == 0) return;
  for (const fs::path& sub : subgroups(group)) collect_pids(sub, depth - 1, result);
}

bool remove_groups(const fs::path& group, int depth) {
  if (::rmdir(group.c_str()) == 0 || errno == ENOENT) return true;
  if (depth == 0) return false;
  for (const fs::path& sub : subgroups(group)) remove_groups(sub, depth - 1);
  return ::rmdir(group.c_str()) == 0 || errno == ENOENT;
}

bool same_directory(int fd, const fs::path& path) {
  struct stat held, named;
  return ::fstat(fd, &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

/// Opens and locks a daemon's group.  Empty if somebody holds the lock or the group is gone.
UniqueFd lock_group(const fs::path& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 || !same_directory(fd.get(), path)) {
    fd.reset();
  }
  return fd;
}

void destroy_leftovers(const fs::path& own) {
  for (const fs::path& group : subgroups(own)) {
    if (!group.filename().string().starts_with(kPrefix)) continue;
    if (const UniqueFd lock = lock_group(group)) {
      cgroup_destroy(group, std::chrono::milliseconds(500));
    }
  }
}

/// From our own group down to the trees' groups.  Returns what is in the way, or "".
std::string give_controllers(const fs::path& own, const fs::path& daemon) {
  std::vector<pid_t> ours{::getpid()};
  if (guardian_pid() != 0) ours.push_back(static_cast<pid_t>(guardian_pid()));
  std::string problem = hand_down_controllers(own, limit_controllers(), ours);
  const std::string below = hand_down_controllers(daemon, limit_controllers(), {});
  return problem.empty() ? below : problem;
}

}  // namespace

std::optional<fs::path> own_cgroup() {
  std::string own;
  std::ifstream membership("/proc/self/cgroup");
  for (std::string line; std::getline(membership, line);) {
    if (line.starts_with("0::/")) own = line.substr(3);
  }
  // With "/.." the group lies above the root of our namespace and has no path here.
  if (own.empty() || own.find("/..") != own.npos) return std::nullopt;

  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    // ID PARENT DEV ROOT MOUNTPOINT OPTIONS [FIELDS…] - TYPE SOURCE OPTIONS
    if (line.find(" - cgroup2 ") == line.npos) continue;
    std::istringstream fields(line);
    std::string id, parent, device, root, mount;
    fields >> id >> parent >> device >> root >> mount;
    if (root == "/") root.clear();
    if (!own.starts_with(root)) continue;
    const std::string below = own.substr(root.size());
    if (!below.empty() && below.front() != '/') continue;
    fs::path path = fs::path(mount + below).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    std::error_code ec;
    if (fs::exists(path / "cgroup.procs", ec)) return without_supervisor(path);
  }
  return std::nullopt;
}

std::vector<pid_t> cgroup_pids(const fs::path& group) {
  std::vector<pid_t> result;
  collect_pids(group, kMaxDepth, result);
  std::ranges::sort(result);
  const auto repeated = std::ranges::unique(result);
  result.erase(repeated.begin(), repeated.end());
  return result;
}

void cgroup_signal(const fs::path& group, int signal) {
  struct Target {
    pid_t pid;
    UniqueFd process;
  };
  std::vector<Target> targets;
  for (const pid_t pid : cgroup_pids(group)) {
    targets.push_back({pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))});
  }
  // A pid may have been given to a stranger before its descriptor was opened: ask again.
  const std::vector<pid_t> still = cgroup_pids(group);
  for (const Target& target : targets) {
    if (target.process && std::ranges::binary_search(still, target.pid)) {
      ::syscall(SYS_pidfd_send_signal, target.process.get(), signal, nullptr, 0);
    }
  }
}

void cgroup_kill(const fs::path& group) { write_file(group / "cgroup.kill", "1"); }

bool cgroup_populated(const fs::path& group) {
  return first_line(group / "cgroup.events") == "populated 1";
}

bool cgroup_remove(const fs::path& group) { return remove_groups(group, kMaxDepth); }

bool cgroup_destroy(const fs::path& group, std::chrono::milliseconds bound) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  const UniqueFd events(::open((group / "cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
  while (true) {
    cgroup_kill(group);
    if (!cgroup_populated(group) && cgroup_remove(group)) return true;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    char ignored[256];
    if (events) ::pread(events.get(), ignored, sizeof(ignored), 0);
    // Short, because the removal may fail for a moment after the last event.
    pollfd wait{events.get(), POLLPRI, 0};
    ::poll(&wait, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 10)));
  }
}

std::string daemon_cgroup_name(pid_t daemon) {
  return std::string(kPrefix) + std::to_string(daemon);
}

std::expected<DaemonCgroup, Error> DaemonCgroup::make() {
  const auto own = own_cgroup();
  if (!own) {
    return std::unexpected(make_error(Reason::kSystem, "no control group (version 2) is mounted"));
  }
  destroy_leftovers(*own);
  const fs::path path = *own / daemon_cgroup_name(::getpid());
  // Another daemon that starts may take the new group for a leftover before it is locked.
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      return system_error("cannot make the control group " + path.string(), errno);
    }
    UniqueFd lock = lock_group(path);
    if (!lock) continue;
    if (::access((path / "cgroup.kill").c_str(), W_OK) != 0) {
      const int error = errno;
      ::rmdir(path.c_str());
      return system_error(path.string() + "/cgroup.kill cannot be written (Linux 5.14 has it)",
                          error);
    }
    DaemonCgroup made(path, std::move(lock));
    made.lacks_ = give_controllers(*own, path);
    return made;
  }
  return std::unexpected(
      make_error(Reason::kSystem,
                 "cannot lock the control group " + path.string() + ": another process holds it"));
}

}  // namespace plugind::platform
