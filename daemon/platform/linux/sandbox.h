// A Sandbox by Landlock and a network namespace.
#pragma once

#include <sys/types.h>

#include <expected>
#include <string>

#include "daemon/error.h"
#include "daemon/platform/posix/unique_fd.h"
#include "daemon/platform/sandbox.h"

namespace plugind::platform {

/// Made before the child, which allocates nothing and opens nothing.
struct SandboxPlan {
  UniqueFd ruleset;         ///< Of Landlock, close-on-exec; none: files are as they are.
  bool no_network = false;  ///< The child calls leave_network().
};

/// `uid`: whom the program runs as.  Error (IsolationUnavailable, with the detail "setting"): the
/// kernel or the daemon's rights do not offer it, `uid` could leave it again, or a path cannot be
/// opened.
std::expected<SandboxPlan, Error> plan_sandbox(const Sandbox& sandbox, uid_t uid);

/// Whether a kernel is new enough, whose answer to the question for Landlock's version is `abi`: a
/// version, or a negated errno.
std::expected<void, Error> check_landlock(long abi);

/// The kernel has refused in the child.
Error network_refused(const std::string& executable, int error);
Error confinement_refused(const std::string& executable, int error);

// What follows runs in the child: async-signal-safe, no allocation.  Each returns an errno, or 0.

/// A network namespace of its own, with nothing but a loopback.  Needs CAP_SYS_ADMIN and, for the
/// loopback, CAP_NET_ADMIN, so before the child becomes another user.
int leave_network();
/// With no_new_privs, a program whose user is not root gets none by its exec, either: neither
/// ambient ones nor those of its file (capabilities(7)).
int drop_capabilities();
/// Needs no_new_privs.
int confine_files(int ruleset);

}  // namespace plugind::platform
