#include "daemon/platform/linux/core_dump.h"

#include <dirent.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

namespace plugind::platform {
namespace {

constexpr int kMaxEntries = 4'096;

/// The file's name as a pattern of fnmatch(3): what only the kernel knows is "*".
struct Name {
  std::string text;
  bool exact = true;
};

Name expand(std::string_view pattern, bool uses_pid, const DumpedProcess& process) {
  Name name;
  bool has_pid = false;
  const auto add = [&](const std::string& text) {
    for (const char c : text) {
      if (std::string_view("*?[\\").contains(c)) name.text += '\\';
      name.text += c;
    }
  };
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%') {
      add(std::string(1, pattern[i]));
      continue;
    }
    if (++i == pattern.size()) break;  // The kernel drops a last '%', too.
    utsname host{};
    switch (pattern[i]) {
      case '%':
        add("%");
        break;
      case 'p':
        has_pid = true;
        add(std::to_string(process.pid));
        break;
      case 'u':
        add(std::to_string(process.uid));
        break;
      case 'g':
        add(std::to_string(process.gid));
        break;
      case 's':
        add(std::to_string(process.signal));
        break;
      case 'h':
        ::uname(&host);
        add(host.nodename);
        break;
      default:  // Threads, time, names: known to the kernel, or to the process while it lived.
        name.text += '*';
        name.exact = false;
    }
  }
  if (uses_pid && !has_pid) add("." + std::to_string(process.pid));
  return name;
}

std::string without_escapes(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    plain += text[i];
  }
  return plain;
}

bool is_file(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

/// The newest file of the directory that fits; "" if none does.
std::string find(const std::string& directory, const std::string& pattern) {
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::opendir(directory.c_str()), ::closedir);
  if (!entries) return "";
  std::string newest;
  timespec newest_time{};
  for (int i = 0; i < kMaxEntries; ++i) {
    const dirent* entry = ::readdir(entries.get());
    if (entry == nullptr) break;
    if (::fnmatch(pattern.c_str(), entry->d_name, 0) != 0) continue;
    const std::string path = std::filesystem::path(directory) / entry->d_name;
    struct stat info;
    if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    const timespec& time = info.st_mtim;
    if (!newest.empty() &&
        (time.tv_sec < newest_time.tv_sec ||
         (time.tv_sec == newest_time.tv_sec && time.tv_nsec < newest_time.tv_nsec))) {
      continue;
    }
    newest = path;
    newest_time = time;
  }
  return newest;
}

CoreDump taken_by(std::string_view program, pid_t pid) {
  CoreDump core;
  program = program.substr(0, program.find(' '));
  if (program.ends_with("/systemd-coredump")) {
    core.note = "systemd-coredump has it: `coredumpctl info " + std::to_string(pid) + "`";
  } else {
    core.note = std::string(program) + " has it (kernel.core_pattern)";
  }
  return core;
}

std::string read_setting(const char* path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  return text;
}

}  // namespace

CoreDump core_of(const DumpedProcess& process, std::string_view pattern, bool uses_pid) {
  if (pattern.starts_with('|')) return taken_by(pattern.substr(1), process.pid);
  CoreDump core;
  if (pattern.starts_with('@')) {
    core.note = "the socket " + std::string(pattern.substr(1)) + " has it (kernel.core_pattern)";
    return core;
  }
  const Name name = expand(pattern, uses_pid, process);
  const std::size_t slash = name.text.rfind('/');
  const std::string above = slash == name.text.npos ? "" : name.text.substr(0, slash + 1);
  const std::string directory = std::filesystem::path(process.directory) / without_escapes(above);
  const std::string last = name.text.substr(above.size());
  if (name.exact) {
    const std::string path = std::filesystem::path(directory) / without_escapes(last);
    if (is_file(path)) core.file = path;
  } else if (above.find('*') == above.npos) {
    core.file = find(directory, last);
  }
  if (core.file.empty()) {
    core.note = "kernel.core_pattern is \"" + std::string(pattern) + "\"" +
                (pattern.starts_with('/') ? "" : ", below the directory that it was in");
  }
  return core;
}

CoreDump core_of(const DumpedProcess& process) {
  return core_of(process, read_setting("/proc/sys/kernel/core_pattern"),
                 read_setting("/proc/sys/kernel/core_uses_pid") == "1");
}

}  // namespace plugind::platform
