#include "daemon/platform/linux/sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "daemon/platform/posix/errno_error.h"

// Of Linux 6.2, which is newer than the headers of some systems that run on it.
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

namespace plugind::platform {
namespace {

// Below this a program could empty every file that its user may write to.
constexpr long kLowestAbi = 3;

constexpr const char* kPathsKey = "sandbox.write_paths";
constexpr const char* kNetworkKey = "sandbox.network";

/// What a rule for a file, rather than for a directory, can allow.
constexpr std::uint64_t kFileRights = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
constexpr std::uint64_t kDirectoryRights =
    kFileRights | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;
/// Device nodes are allowed nowhere: one made in a directory of its own would be a way for root to
/// the disk below all of this.
constexpr std::uint64_t kHandled =
    kDirectoryRights | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;

std::unexpected<Error> refused(const char* key, const std::string& why, std::string_view remedy) {
  Error error = make_error(Reason::kIsolationUnavailable,
                           std::string("`") + key + "` cannot be enforced here: " + why, remedy);
  error.details.emplace_back("setting", key);
  return std::unexpected(std::move(error));
}

std::unexpected<Error> no_ruleset(int error) {
  return refused(kPathsKey, "the kernel makes no set of rules: " + errno_text(error), "");
}

int allow(int ruleset, int path, std::uint64_t rights) {
  const landlock_path_beneath_attr rule{.allowed_access = rights, .parent_fd = path};
  return ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0
             ? 0
             : errno;
}

std::unexpected<Error> path_refused(const std::string& path, int error) {
  Error result = error == ENOENT
                     ? make_error(Reason::kIsolationUnavailable,
                                  "`sandbox.write_paths` names " + path + ", which does not exist",
                                  "make it, or correct the manifest")
                     : make_error(Reason::kIsolationUnavailable,
                                  "`sandbox.write_paths` names " + path +
                                      ", which cannot be used: " + errno_text(error),
                                  "let plugind reach it, or correct the manifest");
  result.details.emplace_back("setting", kPathsKey);
  return std::unexpected(std::move(result));
}

std::expected<UniqueFd, Error> make_ruleset(const std::vector<std::string>& write_paths) {
  const long abi =
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  if (auto offered = check_landlock(abi == -1 ? -errno : abi); !offered) {
    return std::unexpected(std::move(offered.error()));
  }
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = kHandled;
  UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0)));
  if (!ruleset) return no_ruleset(errno);
  for (const std::string& path : write_paths) {
    const UniqueFd target(::open(path.c_str(), O_PATH | O_CLOEXEC));
    struct stat info;
    if (!target || ::fstat(target.get(), &info) != 0) return path_refused(path, errno);
    const std::uint64_t rights = S_ISDIR(info.st_mode) ? kDirectoryRights : kFileRights;
    if (const int error = allow(ruleset.get(), target.get(), rights)) {
      return path_refused(path, error);
    }
  }
  for (const char* const device : {"/dev/null", "/dev/zero", "/dev/full"}) {
    // One that is not there is not written to.
    const UniqueFd target(::open(device, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (!target) continue;
    if (const int error = allow(ruleset.get(), target.get(), kFileRights)) return no_ruleset(error);
  }
  return ruleset;
}

}  // namespace

std::expected<void, Error> check_landlock(long abi) {
  constexpr const char* kRemedy =
      "run Linux 6.2 or later with Landlock (CONFIG_SECURITY_LANDLOCK, and `landlock` in `lsm=`), "
      "or remove it from the manifest";
  if (abi < 0) {
    const int error = static_cast<int>(-abi);
    if (error == EOPNOTSUPP) {
      return refused(kPathsKey, "Landlock is not among the security modules of this boot", kRemedy);
    }
    return refused(kPathsKey, "the kernel offers no Landlock: " + errno_text(error), kRemedy);
  }
  if (abi < kLowestAbi) {
    return refused(kPathsKey,
                   "the kernel's Landlock (ABI " + std::to_string(abi) +
                       ") does not keep a program from emptying files; that takes ABI " +
                       std::to_string(kLowestAbi),
                   kRemedy);
  }
  return {};
}

std::expected<SandboxPlan, Error> plan_sandbox(const Sandbox& sandbox, uid_t uid) {
  SandboxPlan plan;
  if (!sandbox.network) {
    if (uid == 0) {
      return refused(kNetworkKey, "the plugin would run as root, who can leave it again",
                     "give the plugin a `user`");
    }
    plan.no_network = true;
  }
  if (sandbox.write_paths) {
    auto ruleset = make_ruleset(*sandbox.write_paths);
    if (!ruleset) return std::unexpected(std::move(ruleset.error()));
    plan.ruleset = std::move(*ruleset);
  }
  return plan;
}

Error network_refused(const std::string& executable, int error) {
  const std::string why = "the kernel gives " + executable +
                          " no network namespace: " + errno_text(error) + "; plugind runs as uid " +
                          std::to_string(::geteuid());
  switch (error) {
    case EPERM:
      return refused(kNetworkKey, why,
                     "run plugind as root or with CAP_SYS_ADMIN and CAP_NET_ADMIN, or remove it "
                     "from the "
                     "manifest")
          .error();
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return refused(kNetworkKey, why, "let plugind, or the machine, have more of that").error();
    case ENOSPC:
      return refused(kNetworkKey, why, "raise user.max_net_namespaces").error();
    default:
      return refused(kNetworkKey, why,
                     "run a kernel with network namespaces (CONFIG_NET_NS), or remove it from the "
                     "manifest")
          .error();
  }
}

Error confinement_refused(const std::string& executable, int error) {
  const bool nested = error == E2BIG;
  return refused(kPathsKey,
                 "the kernel does not put " + executable +
                     " under its rules: " + errno_text(error) +
                     (nested ? "; plugind itself is under as many as there can be" : ""),
                 nested ? "run plugind under fewer" : "")
      .error();
}

int leave_network() {
  if (::unshare(CLONE_NEWNET) != 0) return errno;
  // Programs expect a loopback; this one leads nowhere else.
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket == -1) return errno == EAFNOSUPPORT ? 0 : errno;
  ifreq loopback{};
  loopback.ifr_name[0] = 'l';
  loopback.ifr_name[1] = 'o';
  loopback.ifr_flags = IFF_UP;
  const int error = ::ioctl(socket, SIOCSIFFLAGS, &loopback) == 0 ? 0 : errno;
  ::close(socket);
  return error;
}

int drop_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {};
  return ::syscall(SYS_capset, &header, none) == 0 ? 0 : errno;
}

int confine_files(int ruleset) {
  return ::syscall(SYS_landlock_restrict_self, ruleset, 0) == 0 ? 0 : errno;
}

}  // namespace plugind::platform
