// Starting a program as the first process of a tree of its own, and following it to its end.
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
#include "daemon/platform/process_tree.h"
#include "daemon/platform/sandbox.h"
#include "daemon/platform/sealed_program.h"
#include "daemon/platform/signals.h"
#include "daemon/platform/tree_limits.h"

namespace plugind::platform {

enum class OutputStream { kStdout, kStderr };

/// What a process used of the machine, together with those children that it waited for.
struct ResourceUse {
  std::chrono::microseconds user_time{0}, system_time{0};
  std::uint64_t peak_memory = 0;  ///< The most that the largest of them had resident, in bytes.
  /// It was less, nobody knows by how much: the system counts what the daemon had when the process
  /// was started.
  bool peak_is_bound = false;
};

/// What a living tree uses of the machine.
struct CurrentUse {
  std::chrono::microseconds cpu_time{0};  ///< Of all its processes so far.
  std::uint64_t memory = 0;               ///< What it has in memory now, in bytes.
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

/// How a process ended.  Exactly one of `code` and `signal` is set.
struct ExitStatus {
  std::optional<int> code;
  std::optional<int> signal;
  MemoryKill memory_kill = MemoryKill::kNone;
  bool core_dumped = false;
  CoreDump core = {};                   ///< With core_dumped.
  std::optional<ResourceUse> use = {};  ///< Absent where it is not known.
};

/// Another user than the daemon's.
struct RunAs {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;  ///< The supplementary ones; all that it gets.

  bool operator==(const RunAs&) const = default;
};

struct SpawnRequest {
  std::string executable;              ///< Absolute path.
  std::vector<std::string> arguments;  ///< Without argv[0], which is `executable`.
  /// The whole of it, "NAME=value".  Only LISTEN_FDS and LISTEN_PID are added (see `listen_socket`)
  /// and, where trees are found by sweeping, PLUGIND_TREE.
  std::vector<std::string> environment;
  std::string working_directory;  ///< "" = the daemon's own.
  /// If not empty: a Unix socket that is bound there (mode 0600), listens and is descriptor 3 of
  /// the program, with LISTEN_FDS=1 and LISTEN_PID.  Whoever owns the directory removes the socket.
  std::string listen_socket;
  /// [A-Za-z0-9._#@-]{1,128}, unique among the living trees of this daemon.
  std::string tree_name;
  ResourceLimits limits;
  /// Absent: the daemon's own user, with the daemon's groups.
  std::optional<RunAs> run_as = {};
  /// With `run_as`: a directory below the runtime directory that is handed over to that user.  The
  /// two directories above it are made passable if they are the daemon's.  "" = none.
  std::string private_directory = {};
  std::optional<std::uint32_t> umask = {};  ///< Absent: the daemon's own.
  /// If set: executed instead of the file, whose path `executable` is then only told.
  std::shared_ptr<const SealedProgram> sealed = {};
  bool no_new_privileges = false;  ///< See prctl(2), PR_SET_NO_NEW_PRIVS.
  Sandbox sandbox = {};
  /// Gets what the program writes, on the loop, in pieces of at most 64 KiB.  Never called again
  /// once the Process is destroyed.  May destroy the Process.
  std::function<void(OutputStream, std::string_view)> on_output;
};

/// One running process tree.  Destroying it kills what is left of the tree and reaps the first
/// process; it blocks only as long as the kernel takes to end a killed process (at most 2 seconds,
/// after which the reaping goes on in the background).
class Process {
 public:
  virtual ~Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  virtual std::int64_t pid() const = 0;
  /// Completes when the first process has ended and its output was read to the end, or, where
  /// another process keeps the pipe open, 200 ms after the end.  Any number may wait, before or
  /// after the end.  Cancelled: throws boost::system::system_error(operation_aborted), as
  /// awaitables do.  The Process may be destroyed while somebody waits: the wait completes with how
  /// it ended.
  virtual boost::asio::awaitable<ExitStatus> wait() = 0;
  /// Set as soon as the end of the first process is known.
  virtual std::optional<ExitStatus> exit_status() const = 0;
  /// Sends it to every process of the tree, those included that left its session.
  virtual void signal_tree(Signal signal) = 0;
  /// Ends every process of the tree, those included that left its session.
  virtual void kill_tree() = 0;
  /// Completes when no process of the tree is left.  Cancellation and destruction as for wait().
  virtual boost::asio::awaitable<void> wait_tree_gone() = 0;
  /// The living processes of the tree, in ascending order.
  virtual std::vector<std::int64_t> tree_pids() const = 0;
  /// What holds each limit that was asked for.
  virtual const std::vector<HeldLimit>& limits() const = 0;
  /// What the tree uses now; absent once nothing of it is left.
  virtual std::optional<CurrentUse> use() const = 0;

 protected:
  Process() = default;
};

/// Starts a program.  It gets: /dev/null as stdin, pipes as stdout and stderr, the listening socket
/// if asked for and no other descriptor; default signal dispositions and an empty mask; a session
/// of its own; the daemon's limits, user and umask where the request has none.  It is killed when
/// the daemon dies.  `trees` outlives the Process.
///
/// Errors, each telling what to do: ExecutableMissing; ExecutableUnusable (permission,
/// architecture, format, missing interpreter or loader); SocketPathTooLong;
/// IsolationUnavailable (a required limit that nothing holds here, a user that the daemon may not
/// become, a sandbox that is not to be had or whose path is not there); SpawnFailed for whatever
/// else the system refuses.  After an Error nothing is left of the attempt.
std::expected<std::unique_ptr<Process>, Error> spawn(ProcessTrees& trees, SpawnRequest request);

/// What a rehearsal has found.
struct Rehearsal {
  std::vector<HeldLimit> limits;  ///< What would hold each limit that was asked for.
  /// "" or a phrase: why the program itself was not tried, but only all that comes before.
  std::string not_tried;
};

/// Does all that spawn() does up to the first instruction of the program, which does not run:
/// control group, limits, user, sandbox, directory, listening socket, and the kernel's own answer
/// to executing it.  Nothing of it is left, but that `private_directory` belongs to the user.
/// Error: that of spawn().
std::expected<Rehearsal, Error> rehearse(ProcessTrees& trees, SpawnRequest request);

}  // namespace plugind::platform
