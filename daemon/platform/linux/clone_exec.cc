#include "daemon/platform/linux/clone_exec.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>

namespace plugind::platform {
namespace {

constexpr int kExecBoundMs = 5'000;

struct Failure {
  int stage;
  int error;
};

/// Between clone and exec no signal may run a handler of the parent's in the child.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old_);
  }
  ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &old_, nullptr); }
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t old_;
};

clone_args arguments_for(int cgroup, int* process) {
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(process);
  arguments.exit_signal = SIGCHLD;
  if (cgroup != -1) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  return arguments;
}

// From here to the end of child_main: async-signal-safe only, no allocation.

/// CLONE_CLEAR_SIGHAND leaves ignored signals ignored, and so does exec.
void reset_dispositions() {
  // The kernel's sigaction, all zero: SIG_DFL.  glibc's own refuses the two signals it keeps.
  const std::uint64_t defaults[8] = {};
  for (int signal = 1; signal < _NSIG; ++signal) {
    ::syscall(SYS_rt_sigaction, signal, defaults, nullptr, _NSIG / 8);
  }
}

int close_on_exec_except(std::span<const int> keep) {
  unsigned first = 0;
  for (const int fd : keep) {
    const auto kept = static_cast<unsigned>(fd);
    if (kept > first && ::syscall(SYS_close_range, first, kept - 1, CLOSE_RANGE_CLOEXEC) != 0) {
      return errno;
    }
    first = kept + 1;
  }
  return ::syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) == 0 ? 0 : errno;
}

/// From now on this process stops at the first signal that reaches it, and the exec sends one.  All
/// others stay blocked: one before the exec would stop it while the parent waits for it.
int stop_at_exec() {
  if (::syscall(SYS_ptrace, PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return errno;
  sigset_t others;
  ::sigfillset(&others);
  ::sigdelset(&others, SIGTRAP);
  return ::sigprocmask(SIG_SETMASK, &others, nullptr) == 0 ? 0 : errno;
}

int prepare_child(const CloneRequest& request, pid_t parent, SpawnStage& stage) {
  stage = SpawnStage::kChild;
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  // The parent may have died before the death signal was set.
  if (::getppid() != parent) return ESRCH;
  reset_dispositions();
  if (request.prepare) {
    if (const int error = request.prepare(request.argument, stage)) return error;
  }
  stage = SpawnStage::kChild;
  if (request.changes_user) {
    // The kernel has cleared it with the change.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
    if (::getppid() != parent) return ESRCH;
  }
  if (const int error = close_on_exec_except(request.keep)) return error;
  if (request.rehearsal) {
    stage = SpawnStage::kRehearsal;
    if (const int error = stop_at_exec()) return error;
  } else {
    sigset_t none;
    ::sigemptyset(&none);
    if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return errno;
  }
  stage = SpawnStage::kExec;
  if (request.image != -1) {
    ::syscall(SYS_execveat, request.image, "", request.argv, request.envp, AT_EMPTY_PATH);
    return errno;
  }
  ::execve(request.executable, const_cast<char* const*>(request.argv),
           const_cast<char* const*>(request.envp));
  return errno;
}

/// Not ::_exit: a sanitizer's, or whatever else a preloaded library puts in its place, waits for
/// threads that this copy of the process does not have, and the parent for this process.
[[noreturn]] void end_child(int code) {
  for (;;) ::syscall(SYS_exit_group, code);
}

struct Child {
  const CloneRequest& request;
  pid_t parent;
  int report;
};

[[noreturn]] void child_main(void* argument) {
  const Child& child = *static_cast<const Child*>(argument);
  SpawnStage stage = SpawnStage::kNone;
  Failure failure{};
  failure.error = prepare_child(child.request, child.parent, stage);
  failure.stage = static_cast<int>(stage);
  // If this fails the parent is gone.
  [[maybe_unused]] const ssize_t written = ::write(child.report, &failure, sizeof(failure));
  end_child(127);
}

CloneResult failed(SpawnStage stage, int error) {
  CloneResult result;
  result.stage = stage;
  result.error = error;
  return result;
}

/// A traced child is told of when it stops, too.
void reap(pid_t pid) {
  int status = 0;
  pid_t found;
  do {
    found = ::waitpid(pid, &status, 0);
  } while (found == -1 ? errno == EINTR : WIFSTOPPED(status));
}

long start_child(clone_args& arguments, Child& child) {
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == 0) child_main(&child);
  return pid == -1 ? -errno : pid;
}

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

// The child borrows the parent's memory until its exec, and the calling thread sleeps that long, as
// in posix_spawn.  A copy of the page tables would stop the loop for 35 ms when the daemon has 200
// MB. The child needs a stack of its own, which clone3 cannot be given from C.

constexpr std::size_t kStackSize = 64 << 10;

long start_child_in_our_memory(clone_args& arguments, Child& child) {
  void* stack = ::mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return -errno;
  arguments.flags |= CLONE_VM | CLONE_VFORK;
  arguments.stack = reinterpret_cast<std::uintptr_t>(stack);
  arguments.stack_size = kStackSize;
  long result;
  // The operands are in registers, which the child inherits; its stack is aligned as a call wants
  // it.
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %[child], %%rdi\n\t"
      "call *%[main]\n\t"
      "ud2\n"
      "1:"
      : "=a"(result)
      : "0"(long{SYS_clone3}), "D"(&arguments),
        "S"(sizeof(arguments)), [main] "r"(&child_main), [child] "r"(&child)
      : "rcx", "r11", "cc", "memory");
  ::munmap(stack, kStackSize);
  return result;
}

#else

long start_child_in_our_memory(clone_args& arguments, Child& child) {
  return start_child(arguments, child);
}

#endif

}  // namespace

CloneResult clone_and_exec(const CloneRequest& request) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed(SpawnStage::kSetup, errno);
  UniqueFd outcome(ends[0]), report(ends[1]);
  // Out of the way of the descriptors that the program gets.
  const int lowest = request.keep.empty() ? 0 : request.keep.back() + 1;
  if (report.get() < lowest) {
    report.reset(::fcntl(report.get(), F_DUPFD_CLOEXEC, lowest));
    if (!report) return failed(SpawnStage::kSetup, errno);
  }

  Child child{request, ::getpid(), report.get()};
  int process = -1;
  clone_args arguments = arguments_for(request.cgroup, &process);
  long pid;
  {
    const AllSignalsBlocked blocked;
    pid = request.changes_user ? start_child(arguments, child)
                               : start_child_in_our_memory(arguments, child);
  }
  if (pid < 0) return failed(SpawnStage::kClone, static_cast<int>(-pid));

  CloneResult result;
  result.pid = static_cast<pid_t>(pid);
  result.process = UniqueFd(process);
  report.reset();
  // A process of the child's new user may stop it before its exec.
  pollfd news{outcome.get(), POLLIN, 0};
  int ready = 1;
  while (request.changes_user && (ready = ::poll(&news, 1, kExecBoundMs)) == -1 && errno == EINTR) {
  }
  if (ready == 0) {
    kill_and_reap(result.pid, process);
    return failed(SpawnStage::kIdentity, ETIMEDOUT);
  }
  Failure failure{};
  ssize_t n;
  while ((n = ::read(outcome.get(), &failure, sizeof(failure))) == -1 && errno == EINTR) {
  }
  // The pipe closes without a word when the exec has succeeded, or when somebody killed the child
  // before it; then it is a program that ended very early.
  if (n == 0) {
    if (request.rehearsal) {
      kill_and_reap(result.pid, process);
      result.pid = -1;
    }
    return result;
  }
  reap(result.pid);
  if (n != sizeof(failure)) return failed(SpawnStage::kChild, n == -1 ? errno : EPROTO);
  return failed(static_cast<SpawnStage>(failure.stage), failure.error);
}

int probe_clone(int cgroup) {
  int process = -1;
  clone_args arguments = arguments_for(cgroup, &process);
  const long pid = ::syscall(SYS_clone3, &arguments, sizeof(arguments));
  if (pid == -1) return errno;
  if (pid == 0) end_child(0);
  ::close(process);
  reap(static_cast<pid_t>(pid));
  return 0;
}

void kill_and_reap(pid_t pid, int process) {
  ::syscall(SYS_pidfd_send_signal, process, SIGKILL, nullptr, 0);
  reap(pid);
}

}  // namespace plugind::platform
