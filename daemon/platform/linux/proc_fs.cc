#include "daemon/platform/linux/proc_fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <string_view>

#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {
namespace {

// An environment is at most a few pages in practice; the kernel allows megabytes.
constexpr std::size_t kMaxEnvironment = 4 << 20;

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

}  // namespace

std::optional<ProcessInfo> process_info(pid_t pid) {
  const UniqueFd file(::open(proc_path(pid, "stat").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::array<char, 1024> buffer;
  const ssize_t n = ::read(file.get(), buffer.data(), buffer.size());
  if (n <= 0) return std::nullopt;
  std::string_view text(buffer.data(), static_cast<std::size_t>(n));
  // pid (comm) state ppid pgrp session …; comm may hold anything, closing brackets included.
  const auto bracket = text.rfind(')');
  if (bracket == text.npos || bracket + 2 >= text.size()) return std::nullopt;
  text.remove_prefix(bracket + 2);
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
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir("/proc"), &::closedir);
  if (!directory) return result;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) continue;
    if (auto info = process_info(pid)) result.push_back(*info);
  }
  std::ranges::sort(result, {}, [](const ProcessInfo& info) { return info.id.pid; });
  return result;
}

bool environment_has(pid_t pid, const std::string& entry) {
  const UniqueFd file(::open(proc_path(pid, "environ").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  std::string text(1, '\0');
  std::array<char, 16384> buffer;
  ssize_t n;
  while (text.size() < kMaxEnvironment &&
         (n = ::read(file.get(), buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
  text += '\0';
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
