// What the domain needs of a process.  platform/ has the real ones; unit tests have fakes.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/manifest.h"

namespace plugind::plugin {

enum class OutputStream { kStdout, kStderr };

/// What a process used of the machine, together with those children that it waited for.
struct ResourceUse {
  std::chrono::microseconds user_time{0}, system_time{0};
  std::uint64_t peak_memory = 0;  ///< The most that the largest of them had resident, in bytes.
  bool peak_is_bound = false;     ///< It was less, nobody knows by how much.
};

/// What a living tree uses of the machine.
struct CurrentUse {
  std::chrono::microseconds cpu_time{0};  ///< Of all its processes so far.
  std::uint64_t memory = 0;               ///< What it has in memory now, in bytes.

  bool operator==(const CurrentUse&) const = default;
};

/// Where a core is.  Either may be "".
struct CoreDump {
  std::string file;  ///< It exists, or did when the process had ended.
  std::string note;  ///< A phrase instead: who has it, or where to look for it.
};

/// Whether a process ended because the system had no memory left.
enum class MemoryKill {
  kNone,       ///< Not as far as is known.
  kLikely,     ///< The system has killed processes for that, and it ended as they do.
  kOverLimit,  ///< Its tree was over its own limit, and was killed.
};

/// How the first process of a tree ended.  Exactly one of `code` and `signal` is set.
struct ExitStatus {
  std::optional<int> code;
  std::optional<int> signal;
  MemoryKill memory_kill = MemoryKill::kNone;
  bool core_dumped = false;
  CoreDump core = {};                   ///< With core_dumped.
  std::optional<ResourceUse> use = {};  ///< Absent where it is not known.

  bool success() const { return code == 0; }
  /// "exit code 3", "signal 11 (SIGSEGV), core dumped", "signal 9 (SIGKILL), out of memory".
  std::string describe() const;
  /// What to do if it ran out of memory: "; raise `limits.memory` ...".  Else "".
  std::string memory_remedy(const ResourceLimits& limits) const;
  /// `exit_code`, `signal`, `core_dumped`, `out_of_memory`, as far as they say something.
  void add_details(Error& error) const;
};

/// What holds a limit of a tree; platform/tree_limits.h has the words.
struct HeldLimit {
  enum class Holder { kControlGroup, kProcessLimit, kNothing };
  std::string name;  ///< As in the manifest, without "limits.".
  Holder holder = Holder::kNothing;
  std::string note;  ///< "" or a phrase: how it differs, or why nothing holds it.

  bool operator==(const HeldLimit&) const = default;
};

/// A program that was checked and cannot change any more.
class PinnedProgram {
 public:
  virtual ~PinnedProgram() = default;

 protected:
  PinnedProgram() = default;
};

struct ProcessSpec {
  std::string executable;                ///< Absolute path.
  std::vector<std::string> arguments;    ///< Without argv[0].
  std::vector<std::string> environment;  ///< The whole of it, "NAME=value".
  std::string working_directory;
  /// If not empty: a Unix socket that the daemon binds there, listens on and passes as descriptor 3
  /// with LISTEN_FDS=1 and LISTEN_PID.
  std::string listen_socket;
  /// Names the tree where the platform has names for trees (a cgroup); unique in this daemon.
  std::string tree_name;
  ResourceLimits limits;
  std::optional<RunAs> run_as = {};         ///< Absent: the daemon's own user.
  std::string private_directory = {};       ///< Is handed over to `run_as`.
  std::optional<std::uint32_t> umask = {};  ///< Absent: the daemon's own.
  bool no_new_privileges = false;
  Sandbox sandbox = {};  ///< The write paths are all of them, the instance's directory included.
  std::shared_ptr<const PinnedProgram> pinned = {};  ///< If set: executed instead of the file.
  /// Gets what the process writes, on the loop, in pieces as they are read.  Never called again
  /// once the Process is destroyed.
  std::function<void(OutputStream, std::string_view)> on_output;
};

/// One running process tree.  Destroying it kills what is left of the tree and reaps it without
/// blocking the loop for longer than the kernel takes to end a killed process.
class Process {
 public:
  virtual ~Process() = default;
  virtual std::int64_t pid() const = 0;
  /// Completes when the first process has ended and its output has been read to the end (bounded:
  /// a grandchild that keeps the pipe open delays this by at most a moment).  Any number of
  /// coroutines may wait, before or after the end.
  virtual boost::asio::awaitable<ExitStatus> wait() = 0;
  virtual std::optional<ExitStatus> exit_status() const = 0;
  /// Sends it to every process of the tree, those included that left its session.
  virtual void signal_tree(StopSignal signal) = 0;
  /// Ends every process of the tree, those included that left its session.
  virtual void kill_tree() = 0;
  /// Completes when no process of the tree is left.
  virtual boost::asio::awaitable<void> wait_tree_gone() = 0;
  /// The living processes of the tree.
  virtual std::vector<std::int64_t> tree_pids() const = 0;
  /// What holds each limit that was asked for.
  virtual std::vector<HeldLimit> limits() const { return {}; }
  /// What the tree uses now.  Absent where it is not known.
  virtual std::optional<CurrentUse> use() const { return std::nullopt; }
};

/// What a rehearsed start has found.
struct Rehearsal {
  std::vector<HeldLimit> limits;  ///< What would hold each limit that was asked for.
  std::string not_tried;          ///< "" or a phrase: why the program itself was not tried.
};

class ProcessFactory {
 public:
  virtual ~ProcessFactory() = default;
  virtual std::expected<std::unique_ptr<Process>, Error> spawn(ProcessSpec spec) = 0;
  /// All of spawn() up to the program's first instruction, which does not run.  Nothing is left of
  /// it.  Errors as for spawn().
  virtual std::expected<Rehearsal, Error> rehearse(ProcessSpec spec) = 0;
  /// Checks a program against its SHA-256, off the loop, and keeps it as it was checked.  Errors:
  /// ChecksumMismatch, ExecutableMissing, ExecutableUnusable.
  virtual boost::asio::awaitable<std::expected<std::shared_ptr<const PinnedProgram>, Error>> pin(
      std::string executable, std::string sha256) = 0;
};

}  // namespace plugind::plugin
