#include "daemon/platform/linux/proc_fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <memory>
#include <set>
#include <string_view>

#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {
namespace {

// An environment is at most a few pages in practice; the kernel allows megabytes.
constexpr std::size_t kMaxEnvironment = 4 << 20;
// Room for more children than pid_max allows.
constexpr std::size_t kMaxChildren = 64 << 20;
constexpr std::size_t kSmallFile = 64 << 10;

std::string proc_path(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

/// The space-separated field `index` of `text`, counted from 0.
std::uint64_t field(std::string_view text, int index) {
  while (index-- > 0) {
    const auto space = text.find(' ');
    if (space == text.npos) return 0;
    text.remove_prefix(space + 1);
  }
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::string read_text(const std::string& path, std::size_t limit) {
  std::string text;
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return text;
  std::array<char, 16384> buffer;
  ssize_t n;
  while (text.size() < limit && (n = ::read(file.get(), buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  return text;
}

/// The numbers that a directory of /proc has as names.
std::vector<pid_t> numbers_in(const std::string& path) {
  std::vector<pid_t> result;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), &::closedir);
  if (!directory) return result;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    pid_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
    if (parsed.ec == std::errc() && parsed.ptr == name.data() + name.size()) {
      result.push_back(number);
    }
  }
  return result;
}

bool kernel_lists_children() {
  static const bool listed = ::access("/proc/thread-self/children", R_OK) == 0;
  return listed;
}

/// The children of a process, which belong to one of its threads each.
std::vector<pid_t> children(pid_t pid) {
  std::vector<pid_t> result;
  const std::string tasks = proc_path(pid, "task");
  for (const pid_t thread : numbers_in(tasks)) {
    const std::string text =
        read_text(tasks + "/" + std::to_string(thread) + "/children", kMaxChildren);
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end) {
      pid_t child = 0;
      const auto parsed = std::from_chars(at, end, child);
      if (parsed.ec != std::errc()) break;
      result.push_back(child);
      at = parsed.ptr + 1;  // a space follows each
    }
  }
  return result;
}

/// /proc/PID/stat (proc(5)) from the state on, which is field 0 here.
struct StatLine {
  explicit StatLine(pid_t pid) {
    const UniqueFd file(::open(proc_path(pid, "stat").c_str(), O_RDONLY | O_CLOEXEC));
    const ssize_t n = file ? ::read(file.get(), buffer.data(), buffer.size()) : 0;
    if (n <= 0) return;
    const std::string_view line(buffer.data(), static_cast<std::size_t>(n));
    // pid (comm) state …; comm may hold anything, closing brackets included.
    const auto bracket = line.rfind(')');
    if (bracket != line.npos && bracket + 2 < line.size()) text = line.substr(bracket + 2);
  }
  StatLine(const StatLine&) = delete;
  StatLine& operator=(const StatLine&) = delete;

  std::array<char, 1024> buffer;
  std::string_view text;  // "" if there is no such process.
};

}  // namespace

std::string read_small_file(const std::filesystem::path& path) {
  return read_text(path, kSmallFile);
}

std::optional<ProcessUse> process_use(pid_t pid) {
  const StatLine stat(pid);
  if (stat.text.empty()) return std::nullopt;
  static const auto ticks_a_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t ticks = 0;
  for (const int index : {11, 12, 13, 14}) ticks += field(stat.text, index);
  return ProcessUse{std::chrono::microseconds(ticks * 1'000'000 / ticks_a_second),
                    field(stat.text, 21) * page};
}

std::optional<ProcessInfo> process_info(pid_t pid) {
  const StatLine stat(pid);
  const std::string_view text = stat.text;
  if (text.empty()) return std::nullopt;
  const char state = text.front();
  ProcessInfo info;
  info.id = {pid, field(text, 19)};
  info.parent = static_cast<pid_t>(field(text, 1));
  info.session = static_cast<pid_t>(field(text, 3));
  const bool threads_left = field(text, 17) > 1;
  info.living = state != 'X' && state != 'x' && (state != 'Z' || threads_left);
  return info;
}

std::vector<ProcessInfo> all_processes() {
  std::vector<ProcessInfo> result;
  for (const pid_t pid : numbers_in("/proc")) {
    if (auto info = process_info(pid)) result.push_back(*info);
  }
  std::ranges::sort(result, {}, [](const ProcessInfo& info) { return info.id.pid; });
  return result;
}

std::vector<ProcessInfo> descendants(pid_t root) {
  std::map<pid_t, ProcessInfo> found;
  if (kernel_lists_children()) {
    std::vector<pid_t> open{root};
    while (!open.empty()) {
      const pid_t parent = open.back();
      open.pop_back();
      for (const pid_t pid : children(parent)) {
        const auto info = process_info(pid);
        if (info && found.emplace(pid, *info).second) open.push_back(pid);
      }
    }
  } else {
    const std::vector<ProcessInfo> all = all_processes();
    std::set<pid_t> members{root};
    for (bool grown = true; grown;) {
      grown = false;
      for (const ProcessInfo& info : all) {
        if (!members.contains(info.parent) || !members.insert(info.id.pid).second) continue;
        grown = true;
        found.emplace(info.id.pid, info);
      }
    }
  }
  std::vector<ProcessInfo> result;
  for (const auto& [pid, info] : found) result.push_back(info);
  return result;
}

bool environment_has(pid_t pid, const std::string& entry) {
  const std::string text = '\0' + read_text(proc_path(pid, "environ"), kMaxEnvironment) + '\0';
  return text.find('\0' + entry + '\0') != text.npos;
}

bool signal_process(const ProcessId& id, int signal) {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, id.pid, 0)));
  if (!process) return false;
  // The descriptor holds one process; only now is it certain which.
  const auto info = process_info(id.pid);
  if (!info || info->id != id) return false;
  return ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) == 0;
}

}  // namespace plugind::platform
