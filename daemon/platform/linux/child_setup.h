// Initializers for CloneLauncher: what a plugin finds when its main begins.  Each on_exec_setup
// runs in the child: async-signal-safe, no allocation.  Boost's own bind_fd is not used: in 1.81
// its on_setup returns nothing, and a source may be overwritten before it is bound.
#pragma once

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <span>

#include "daemon/platform/linux/launcher.h"
#include "daemon/platform/linux/resource_limits.h"
#include "daemon/platform/linux/sandbox.h"
#include "daemon/platform/process.h"

namespace plugind::platform {

inline boost::system::error_code last_error() { return {errno, boost::system::system_category()}; }

/// A session of its own, so that neither terminal signals nor ours to our group reach it.
struct NewSession {
  boost::system::error_code on_exec_setup(CloneLauncher&, const CloneLauncher::Path&,
                                          const char* const*) const {
    return ::setsid() == -1 ? last_error() : boost::system::error_code();
  }
};

struct WorkingDirectory {
  const char* path;  ///< "" leaves it as it is.

  boost::system::error_code on_exec_setup(CloneLauncher& launcher, const CloneLauncher::Path&,
                                          const char* const*) const {
    if (*path == '\0') return {};
    launcher.child_stage = SpawnStage::kDirectory;
    if (::chdir(path) != 0) return last_error();
    launcher.child_stage = SpawnStage::kChild;
    return {};
  }
};

/// Gives the program `source` as its descriptor `target`.  Every source must be above every target.
struct BindDescriptor {
  int target;
  int source;  ///< -1: nothing

  boost::system::error_code on_setup(CloneLauncher& launcher, const CloneLauncher::Path&,
                                     const char* const*&) const {
    if (source != -1 && target > STDERR_FILENO) launcher.fd_whitelist.push_back(target);
    return {};
  }
  boost::system::error_code on_exec_setup(CloneLauncher&, const CloneLauncher::Path&,
                                          const char* const*) const {
    if (source != -1 && ::dup2(source, target) == -1) return last_error();
    return {};
  }
};

/// Writes the pid, which only the child knows, into a prepared environment entry.
struct OwnPid {
  /// Room for kDigits characters and the end, or null.
  char* digits;
  static constexpr int kDigits = 10;

  boost::system::error_code on_exec_setup(CloneLauncher&, const CloneLauncher::Path&,
                                          const char* const*) const {
    if (!digits) return {};
    char reversed[kDigits];
    int count = 0;
    for (auto pid = static_cast<unsigned>(::getpid()); pid != 0 && count < kDigits; pid /= 10) {
      reversed[count++] = static_cast<char>('0' + pid % 10);
    }
    char* out = digits;
    while (count > 0) *out++ = reversed[--count];
    *out = '\0';
    return {};
  }
};

/// Before Identity: root may raise a limit, and others may not.
struct SetProcessLimits {
  std::span<const ProcessLimit> limits;

  boost::system::error_code on_exec_setup(CloneLauncher& launcher, const CloneLauncher::Path&,
                                          const char* const*) const {
    launcher.child_stage = SpawnStage::kLimits;
    for (const ProcessLimit& limit : limits) {
      const rlimit both{limit.value, limit.value};
      if (::setrlimit(limit.resource, &both) != 0) return last_error();
    }
    launcher.child_stage = SpawnStage::kChild;
    return {};
  }
};

struct FileMask {
  std::optional<std::uint32_t> mask;

  boost::system::error_code on_exec_setup(CloneLauncher&, const CloneLauncher::Path&,
                                          const char* const*) const {
    if (mask) ::umask(static_cast<mode_t>(*mask));
    return {};
  }
};

struct NoNewPrivileges {
  bool wanted;

  boost::system::error_code on_exec_setup(CloneLauncher&, const CloneLauncher::Path&,
                                          const char* const*) const {
    if (wanted && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return last_error();
    return {};
  }
};

/// Before Identity, which takes the right to it away.
struct NoNetwork {
  bool wanted;

  boost::system::error_code on_exec_setup(CloneLauncher& launcher, const CloneLauncher::Path&,
                                          const char* const*) const {
    if (!wanted) return {};
    launcher.child_stage = SpawnStage::kNetwork;
    if (const int error = leave_network()) return {error, boost::system::system_category()};
    launcher.child_stage = SpawnStage::kChild;
    return {};
  }
};

/// After Identity, NoNewPrivileges and whatever else the child sets up: it is for good.
struct Confinement {
  const SandboxPlan& plan;

  boost::system::error_code on_exec_setup(CloneLauncher& launcher, const CloneLauncher::Path&,
                                          const char* const*) const {
    // Else a capability of a daemon that is not root would lead back to the network.
    int error = plan.no_network ? drop_capabilities() : 0;
    if (error == 0 && plan.ruleset) {
      launcher.child_stage = SpawnStage::kFiles;
      error = confine_files(plan.ruleset.get());
    }
    if (error != 0) return {error, boost::system::system_category()};
    launcher.child_stage = SpawnStage::kChild;
    return {};
  }
};

/// The plain system calls: glibc's functions would change the user of all of the daemon's threads,
/// whose list the child has in memory.
struct Identity {
  const RunAs* user;  ///< Null: as we are.

  boost::system::error_code on_setup(CloneLauncher& launcher, const CloneLauncher::Path&,
                                     const char* const*&) const {
    if (user) launcher.changes_user = true;
    return {};
  }
  boost::system::error_code on_exec_setup(CloneLauncher& launcher, const CloneLauncher::Path&,
                                          const char* const*) const {
    if (!user) return {};
    launcher.child_stage = SpawnStage::kIdentity;
    if (::syscall(SYS_setgroups, user->groups.size(), user->groups.data()) != 0 ||
        ::syscall(SYS_setresgid, user->gid, user->gid, user->gid) != 0 ||
        ::syscall(SYS_setresuid, user->uid, user->uid, user->uid) != 0) {
      return last_error();
    }
    launcher.child_stage = SpawnStage::kChild;
    return {};
  }
};

}  // namespace plugind::platform
