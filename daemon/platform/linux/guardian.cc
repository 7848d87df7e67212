#include "daemon/platform/guardian.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <filesystem>

#include "daemon/platform/linux/cgroup.h"
#include "daemon/platform/linux/cgroup_limits.h"
#include "daemon/platform/linux/process_sweep.h"
#include "daemon/platform/posix/errno_error.h"

namespace plugind::platform {
namespace {

using std::chrono::milliseconds;

std::int64_t guardian_of_this = 0;

constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
// A process that the kernel has not ended by then hangs in a driver.
constexpr milliseconds kEndBound{10'000};
constexpr milliseconds kCgroupBound{2'000};

sigset_t guardian_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGCHLD);
  for (const int signal : kForwarded) ::sigaddset(&set, signal);
  return set;
}

int thread_count() {
  std::error_code ec;
  int count = 0;
  for (std::filesystem::directory_iterator it("/proc/self/task", ec), end; !ec && it != end;
       it.increment(ec)) {
    ++count;
  }
  return count;
}

/// Passes signals on until the daemon has ended; reaps orphans meanwhile.  Returns how it ended.
int follow(pid_t daemon) {
  const sigset_t signals = guardian_signals();
  while (true) {
    siginfo_t info{};
    const int signal = ::sigwaitinfo(&signals, &info);
    if (signal == -1) continue;  // EINTR
    if (signal != SIGCHLD) {
      ::kill(daemon, signal);
      continue;
    }
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid == daemon) return status;
    }
  }
}

void reap_all() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

/// Everything that the daemon left is our descendant now.
void end_leftovers(pid_t daemon) {
  if (const auto own = own_cgroup()) {
    const auto group = *own / daemon_cgroup_name(daemon);
    std::error_code ec;
    if (std::filesystem::exists(group, ec)) cgroup_destroy(group, kCgroupBound);
    take_controllers_back(*own, limit_controllers(), ::getpid());
  }
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  const auto deadline = std::chrono::steady_clock::now() + kEndBound;
  do {
    stop_and_kill([] { return living_descendants(::getpid()); });
    reap_all();
    if (::waitpid(-1, nullptr, WNOHANG) == -1 && errno == ECHILD) return;
    const timespec moment{0, 20'000'000};
    ::sigtimedwait(&child, nullptr, &moment);
  } while (std::chrono::steady_clock::now() < deadline);
}

[[noreturn]] void end_like(int status) {
  if (WIFEXITED(status)) ::_exit(WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  // The daemon has dumped its core; another one of the guardian would only mislead.
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0);
  ::signal(signal, SIG_DFL);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
  ::raise(signal);
  ::_exit(128 + signal);
}

[[noreturn]] void guard(pid_t daemon) {
  ::prctl(PR_SET_NAME, "plugind-guard");
  ::syscall(SYS_close_range, 3U, ~0U, 0U);
  // Not to keep a file system busy.
  [[maybe_unused]] const int changed = ::chdir("/");
  const int status = follow(daemon);
  end_leftovers(daemon);
  end_like(status);
}

}  // namespace

std::expected<void, Error> become_guarded() {
  if (const int threads = thread_count(); threads != 1) {
    return std::unexpected(make_error(
        Reason::kInternal, "the guardian has to be started before any thread exists; there are " +
                               std::to_string(threads)));
  }
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return system_error("cannot become a child subreaper", errno);
  }
  // An inherited SIG_IGN would make the kernel throw the daemon's exit status away.
  ::signal(SIGCHLD, SIG_DFL);
  // Blocked before the fork, so that the guardian misses none.
  const sigset_t signals = guardian_signals();
  sigset_t old;
  ::sigprocmask(SIG_BLOCK, &signals, &old);
  const pid_t guardian = ::getpid();
  const pid_t daemon = ::fork();
  if (daemon == -1) {
    const int error = errno;
    ::sigprocmask(SIG_SETMASK, &old, nullptr);
    return system_error("cannot start the daemon's process", error);
  }
  if (daemon != 0) guard(daemon);

  // A session of its own: what hits the guardian's process group must not hit both.
  ::setsid();
  if (::prctl(PR_SET_PDEATHSIG, SIGQUIT) != 0) {
    return system_error("cannot ask for a signal at the guardian's death", errno);
  }
  if (::getppid() != guardian) ::_exit(EXIT_FAILURE);  // it died before that
  ::sigprocmask(SIG_SETMASK, &old, nullptr);
  guardian_of_this = guardian;
  return {};
}

std::int64_t guardian_pid() { return guardian_of_this; }

}  // namespace plugind::platform
