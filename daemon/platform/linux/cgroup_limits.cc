#include "daemon/platform/linux/cgroup_limits.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <set>

#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kControllers{"cpu", "memory", "pids"};
constexpr std::string_view kSupervisor = "plugind.supervisor";

/// 0 or an errno.  The file is there already: in a control group nothing else can be made.
int write_file(const fs::path& path, std::string_view text) {
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return errno;
  const ssize_t n = ::write(file.get(), text.data(), text.size());
  if (n == -1) return errno;
  return n == static_cast<ssize_t>(text.size()) ? 0 : EIO;
}

std::set<std::string, std::less<>> words_of(const fs::path& path) {
  std::ifstream file(path);
  std::set<std::string, std::less<>> words;
  for (std::string word; file >> word;) words.insert(word);
  return words;
}

std::string changes(const auto& controllers, char sign) {
  std::string text;
  for (const auto& one : controllers) {
    text += (text.empty() ? "" : " ") + std::string(1, sign) + std::string(one);
  }
  return text;
}

/// Moves the processes of `group` into its supervisor's group, if all of them are ours.
std::string step_aside(const fs::path& group, std::span<const pid_t> ours) {
  std::vector<pid_t> found;
  std::ifstream file(group / "cgroup.procs");
  for (pid_t pid; file >> pid;) {
    if (std::ranges::find(ours, pid) == ours.end()) {
      return "other processes are in the control group " + group.string();
    }
    found.push_back(pid);
  }
  const fs::path aside = supervisor_group(group);
  if (::mkdir(aside.c_str(), 0755) != 0 && errno != EEXIST) {
    return "cannot make the control group " + aside.string() + ": " + errno_text(errno);
  }
  for (const pid_t pid : found) {
    if (const int error = write_file(aside / "cgroup.procs", std::to_string(pid))) {
      return "cannot move into the control group " + aside.string() + ": " + errno_text(error);
    }
  }
  return "";
}

}  // namespace

std::span<const std::string_view> limit_controllers() { return kControllers; }

fs::path supervisor_group(const fs::path& group) { return group / kSupervisor; }

fs::path without_supervisor(const fs::path& group) {
  return group.filename() == kSupervisor ? group.parent_path() : group;
}

std::string hand_down_controllers(const fs::path& group,
                                  std::span<const std::string_view> controllers,
                                  std::span<const pid_t> ours) {
  const auto there = words_of(group / "cgroup.controllers");
  const auto handed = words_of(group / "cgroup.subtree_control");
  std::vector<std::string_view> missing, wanted;
  for (const std::string_view one : controllers) {
    if (!there.contains(one)) missing.push_back(one);
    if (there.contains(one) && !handed.contains(one)) wanted.push_back(one);
  }
  if (!wanted.empty()) {
    int error = write_file(group / "cgroup.subtree_control", changes(wanted, '+'));
    if (error == EBUSY) {
      if (std::string problem = step_aside(group, ours); !problem.empty()) return problem;
      error = write_file(group / "cgroup.subtree_control", changes(wanted, '+'));
    }
    if (error != 0) {
      return "the controllers of " + group.string() + " cannot be used: " + errno_text(error);
    }
  }
  if (missing.empty()) return "";
  std::string names;
  for (const std::string_view one : missing)
    names += (names.empty() ? "" : ", ") + std::string(one);
  return "the control group " + group.string() + " lacks the controllers " + names;
}

void take_controllers_back(const fs::path& group, std::span<const std::string_view> controllers,
                           pid_t process) {
  std::error_code ec;
  if (!fs::exists(supervisor_group(group), ec)) return;
  const auto handed = words_of(group / "cgroup.subtree_control");
  std::vector<std::string_view> ours;
  std::ranges::copy_if(controllers, std::back_inserter(ours),
                       [&](std::string_view one) { return handed.contains(one); });
  // While they are handed down no process may come back.
  if (!ours.empty()) write_file(group / "cgroup.subtree_control", changes(ours, '-'));
  write_file(group / "cgroup.procs", std::to_string(process));
  ::rmdir(supervisor_group(group).c_str());
}

std::expected<void, std::string> set_group_limit(const fs::path& group, std::string_view file,
                                                 std::string_view value) {
  const fs::path path = group / file;
  const int error = write_file(path, value);
  if (error == 0) return {};
  if (error == ENOENT) {
    const std::string controller(file.substr(0, file.find('.')));
    return std::unexpected("its control group has no " + controller + " controller");
  }
  return std::unexpected(path.string() + " cannot be written: " + errno_text(error));
}

}  // namespace plugind::platform
