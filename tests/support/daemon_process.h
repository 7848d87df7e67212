// A plugind of a test's own, in a directory of its own.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace plugind::testing {

/// The daemon's --workers: $PLUGIND_TEST_WORKERS, or 1.
std::size_t workers();

/// Whether a test's daemon is told how many workers it has.
enum class Workers { kOfTheTest, kNotSaid };

/// A directory with everything of one daemon in it: manifests/, run/ and what else the test needs.
class DaemonDirectory {
 public:
  DaemonDirectory();
  ~DaemonDirectory();
  DaemonDirectory(const DaemonDirectory&) = delete;
  DaemonDirectory& operator=(const DaemonDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path manifests() const { return path_ / "manifests"; }
  std::filesystem::path runtime() const { return path_ / "run"; }
  std::filesystem::path socket() const { return runtime() / "plugind.sock"; }
  std::filesystem::path plugin_socket(const std::string& plugin) const {
    return runtime() / "plugins" / (plugin + ".sock");
  }
  void write(const std::filesystem::path& name, const std::string& text) const;
  void remove(const std::filesystem::path& name) const { std::filesystem::remove(path_ / name); }

  /// The daemon's environment: $HOME, which plugins inherit, is how its processes are found again.
  ChildProcess::Environment environment() const;
  /// The living processes that descend from a daemon of this directory, the daemon included.
  std::vector<pid_t> processes() const;

 private:
  std::filesystem::path path_;
};

class DaemonProcess {
 public:
  /// Starts it with more arguments; `command` is how ("setpriv … plugind").
  DaemonProcess(const DaemonDirectory& directory, std::vector<std::string> arguments,
                std::vector<std::string> command, Workers workers = Workers::kOfTheTest);

  /// Waits until it has read its manifests and accepts connections.  False when it has ended or the
  /// deadline passes.
  bool wait_started();
  /// Waits until its log has this text.
  bool wait_log(const std::string& text) const;

  ChildProcess& process() { return process_; }
  pid_t guardian() const { return process_.pid(); }
  /// The process that serves; 0 when it has gone.
  pid_t pid() const;
  std::string log() const { return process_.err(); }
  /// The control group that holds its plugins' ones; empty where it has none.
  std::filesystem::path cgroup() const;

 private:
  const DaemonDirectory& directory_;
  ChildProcess process_;
};

/// Whether somebody accepts on the Unix socket.
bool accepts(const std::filesystem::path& socket);

}  // namespace plugind::testing
