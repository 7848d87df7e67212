// clone3 and exec: the part of the launcher that does not depend on Boost's types.
#pragma once

#include <sys/types.h>

#include <span>

#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {

/// What the child was doing when a spawn failed.
enum class SpawnStage : int {
  kNone,
  kSetup,      ///< In the parent, before there was a child.
  kClone,      ///< Making the process.
  kDirectory,  ///< Entering the working directory.
  kLimits,     ///< Setting resource limits.
  kIdentity,   ///< Becoming another user.
  kNetwork,    ///< Leaving the network.
  kFiles,      ///< Giving up the right to change files.
  kChild,      ///< Preparing descriptors, session or death signal.
  kRehearsal,  ///< Making sure that the program does not run; see CloneRequest::rehearsal.
  kExec,
  kRegister,  ///< In the parent, after the program was started; it was ended again.
};

struct CloneRequest {
  const char* executable = nullptr;
  int image = -1;  ///< A descriptor to execute instead; -1: none.
  const char* const* argv = nullptr;
  const char* const* envp = nullptr;
  int cgroup = -1;  ///< Directory of the control group to start in; -1 = the caller's own.
  /// Open in the program; in ascending order.  Every other descriptor is closed by the exec.
  std::span<const int> keep;
  /// Called in the child: async-signal-safe, allocates nothing.  Returns an errno, 0 if all is
  /// well, and sets the stage for a failure.
  int (*prepare)(void* argument, SpawnStage& stage) = nullptr;
  void* argument = nullptr;
  /// `prepare` makes the child another user.  It then gets a memory of its own from the start: a
  /// process of that user must get no hold of ours.
  bool changes_user = false;
  /// The program is executed, and ended and reaped before its first instruction.  The kernel says
  /// whether it can be, and nothing of it runs: a traced process stops when its exec has succeeded
  /// (ptrace(2), PTRACE_TRACEME).
  bool rehearsal = false;
};

struct CloneResult {
  pid_t pid = -1;    ///< Stays -1 after a rehearsal.
  UniqueFd process;  ///< A pidfd.
  int error = 0;
  SpawnStage stage = SpawnStage::kNone;
};

/// Starts the program with default signal dispositions, an empty signal mask and SIGKILL as its
/// parent's (this thread's) death signal.  Returns when the exec has succeeded or failed; after a
/// failure the child is reaped.
CloneResult clone_and_exec(const CloneRequest& request);

/// Makes a child in the group that ends at once: 0, or the errno that spawning there will meet.
int probe_clone(int cgroup);

/// SIGKILL and reap, for a child that must not go on.
void kill_and_reap(pid_t pid, int process);

}  // namespace plugind::platform
