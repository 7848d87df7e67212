#include "daemon/platform/guardian.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <new>
#include <string>

#include "daemon/platform/linux/cgroup.h"
#include "daemon/platform/linux/cgroup_limits.h"
#include "daemon/platform/linux/process_sweep.h"
#include "daemon/platform/local_socket.h"
#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/runtime_dir.h"

namespace plugind::platform {
namespace {

using std::chrono::milliseconds;

std::int64_t guardian_of_this = 0;

/// In memory that guardian and daemon share: the daemon knows its options after the fork only.
struct Entrusted {
  std::atomic<bool> told = false;
  char runtime_dir[PATH_MAX];
  char socket[PATH_MAX];
};
Entrusted* entrusted = nullptr;

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

/// What is left of a daemon that could not clean up.
void clear_files() {
  if (!entrusted->told.load(std::memory_order_acquire)) return;
  LocalSocket::clear_away(entrusted->socket, [] {
    // Whatever stays behind is removed by the next daemon's start.
    if (const auto directory = RuntimeDir::existing(entrusted->runtime_dir)) {
      [[maybe_unused]] const auto cleared = directory->clear_leftovers();
    }
  });
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
  if (WIFSIGNALED(status)) clear_files();
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
  void* const shared =
      ::mmap(nullptr, sizeof(Entrusted), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return system_error("cannot get memory to share", errno);
  entrusted = new (shared) Entrusted;
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

void entrust_to_guardian(const std::filesystem::path& runtime_dir,
                         const std::filesystem::path& socket) {
  // The socket's lock guards the directory that it is in.
  if (entrusted == nullptr || socket.parent_path() != runtime_dir) return;
  // The guardian works elsewhere.
  const auto keep = [](char(&place)[PATH_MAX], const std::filesystem::path& path) {
    std::error_code ec;
    const std::string text = std::filesystem::absolute(path, ec).string();
    if (ec || text.size() >= sizeof(place)) return false;
    text.copy(place, text.size());
    place[text.size()] = '\0';
    return true;
  };
  if (keep(entrusted->runtime_dir, runtime_dir) && keep(entrusted->socket, socket)) {
    entrusted->told.store(true, std::memory_order_release);
  }
}

std::int64_t guardian_pid() { return guardian_of_this; }

}  // namespace plugind::platform
