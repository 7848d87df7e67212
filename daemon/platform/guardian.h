// The guardian: a tiny process that outlives the daemon and ends whatever the daemon left.
//
// A daemon that is killed outright cannot clean up, and the death signal of its plugins does not
// reach their children.  So the process that the user starts becomes the guardian: it forks; the
// child goes on as the daemon, in a session of its own, and the parent
//   - passes SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2 on to the daemon,
//   - when the daemon has ended, however it did, ends every process that is left of its trees and
//     removes their control groups; and, if it died by a signal, what it left in its runtime
//     directory,
//   - then exits with the daemon's exit code, or dies of the signal that the daemon died of.
// If the guardian itself is killed, the daemon gets SIGQUIT and must stop everything at once.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>

#include "daemon/error.h"

namespace plugind::platform {

/// Makes the calling process the guardian and returns in the daemon, its child, only.  Call it
/// first of all, before any thread exists and before anything that a fork must not double: with
/// more than one thread it is an Error (Internal).  Standard streams and the environment are the
/// daemon's; descriptors above 2 are closed in the guardian.  The daemon's signal mask is the
/// caller's.
///
/// Under systemd the guardian is the main process and the daemon sends the notifications, so the
/// unit needs NotifyAccess=all and KillMode=mixed.
std::expected<void, Error> become_guarded();

/// In the daemon, once it holds the lock of its front socket: if it dies by a signal, the guardian
/// removes `socket` and what is below `runtime_dir`, unless another daemon has the lock by then.
/// Nothing in a process that become_guarded() did not make, and where `socket` is not in
/// `runtime_dir`: another daemon, with another socket, might be there by then.
void entrust_to_guardian(const std::filesystem::path& runtime_dir,
                         const std::filesystem::path& socket);

/// In the daemon: the guardian's pid.  0 in a process that become_guarded() did not make.
std::int64_t guardian_pid();

}  // namespace plugind::platform
