#include "daemon/platform/linux/process_trees.h"

#include <linux/close_range.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

#include "daemon/platform/linux/cgroup_tree.h"
#include "daemon/platform/linux/clone_exec.h"
#include "daemon/platform/linux/process_sweep.h"
#include "daemon/platform/linux/swept_tree.h"
#include "daemon/platform/posix/errno_error.h"

namespace plugind::platform {
namespace {

// The kernel ends killed processes in milliseconds; what takes longer hangs in a driver.
constexpr std::chrono::milliseconds kEndBound{2'000};

sigset_t only_sigchld() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGCHLD);
  return set;
}

std::unexpected<Error> too_old(const std::string& what, int error) {
  return system_error("the kernel cannot start plugins (" + what + ")", error,
                      "plugind needs Linux 5.11, and a container must not filter clone3");
}

}  // namespace

std::expected<std::unique_ptr<ProcessTrees>, Error> ProcessTrees::open(
    boost::asio::any_io_executor loop, TreeKeeping keeping) {
  auto trees = LinuxProcessTrees::open(std::move(loop), keeping);
  if (!trees) return std::unexpected(trees.error());
  return std::unique_ptr<ProcessTrees>(std::move(*trees));
}

LinuxProcessTrees::LinuxProcessTrees(boost::asio::any_io_executor loop)
    : loop_(loop), child_signals_(loop) {}

std::expected<std::unique_ptr<LinuxProcessTrees>, Error> LinuxProcessTrees::open(
    boost::asio::any_io_executor loop, TreeKeeping keeping) {
  if (const int error = probe_clone(-1)) return too_old("clone3", error);
  if (::syscall(SYS_close_range, ~0U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    return too_old("close_range", errno);
  }
  std::unique_ptr<LinuxProcessTrees> trees(new LinuxProcessTrees(std::move(loop)));
  if (auto taken = trees->take_over_children(); !taken) return std::unexpected(taken.error());
  if (keeping == TreeKeeping::kBest) {
    trees->use_cgroup();
  } else {
    trees->no_cgroup_because_ = "control groups are switched off";
  }
  if (!trees->cgroup_) {
    trees->swept_ = std::make_unique<SweptTrees>(trees->loop_, trees->leaders_);
  }
  trees->read_child_signals();
  return trees;
}

std::expected<void, Error> LinuxProcessTrees::take_over_children() {
  int subreaper = 0;
  ::prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
  was_subreaper_ = subreaper != 0;
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return system_error("cannot become a child subreaper", errno);
  }
  // An inherited SIG_IGN would make the kernel throw exit statuses away.
  ::signal(SIGCHLD, SIG_DFL);
  const sigset_t set = only_sigchld();
  sigset_t old;
  ::pthread_sigmask(SIG_BLOCK, &set, &old);
  sigchld_was_blocked_ = ::sigismember(&old, SIGCHLD) == 1;
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return system_error("cannot make a signalfd", errno);
  boost::system::error_code ec;
  child_signals_.assign(fd.get(), ec);
  if (ec) return system_error("cannot watch for the end of children", ec.value());
  fd.release();
  return {};
}

void LinuxProcessTrees::use_cgroup() {
  auto cgroup = DaemonCgroup::make();
  if (!cgroup) {
    no_cgroup_because_ = cgroup.error().message;
    return;
  }
  // Writable files do not say that the kernel lets processes in: try.
  auto probe = CgroupTree::make(loop_, cgroup->path() / "probe");
  const int error = probe ? probe_clone((*probe)->cgroup()) : 0;
  if (!probe || error != 0) {
    no_cgroup_because_ =
        probe ? "cannot start a process in " + cgroup->path().string() + ": " + errno_text(error)
              : probe.error().message;
    cgroup_remove(cgroup->path());
    return;
  }
  cgroup_ = std::move(*cgroup);
}

LinuxProcessTrees::~LinuxProcessTrees() {
  watched_.clear();
  if (cgroup_) cgroup_destroy(cgroup_->path(), kEndBound);
  end_everything();
  if (!was_subreaper_) ::prctl(PR_SET_CHILD_SUBREAPER, 0);
  if (!sigchld_was_blocked_) {
    const sigset_t set = only_sigchld();
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  }
}

void LinuxProcessTrees::end_everything() {
  const auto deadline = std::chrono::steady_clock::now() + kEndBound;
  while (std::chrono::steady_clock::now() < deadline) {
    stop_and_kill([] { return living_descendants(::getpid()); });
    reap_orphans();
    siginfo_t any{};
    if (::waitid(P_ALL, 0, &any, WEXITED | WNOHANG | WNOWAIT) != 0) return;  // no child is left
    if (any.si_pid != 0) return;  // the first process of a tree, which its owner reaps
    pollfd wait{child_signals_.native_handle(), POLLIN, 0};
    ::poll(&wait, 1, 20);
    std::array<signalfd_siginfo, 8> signals;
    [[maybe_unused]] const ssize_t drained =
        ::read(child_signals_.native_handle(), signals.data(), sizeof(signals));
  }
}

std::string LinuxProcessTrees::describe() const {
  if (cgroup_) {
    const std::string& lacks = cgroup_->lacks();
    return (lacks.empty() ? "" : "not all limits can be kept by control groups: " + lacks + "; ") +
           "process trees are control groups below " + cgroup_->path().string();
  }
  return "process trees are found by sweeping /proc: " + no_cgroup_because_;
}

std::expected<std::shared_ptr<Tree>, Error> LinuxProcessTrees::make_tree(const std::string& name) {
  if (!cgroup_) return swept_->make(name);
  auto tree = CgroupTree::make(loop_, cgroup_->path() / name);
  if (!tree) return std::unexpected(make_error(Reason::kSpawnFailed, tree.error().message));
  return *tree;
}

void LinuxProcessTrees::leader_reaped(pid_t pid) {
  leaders_.erase(pid);
  reap_orphans();
  check_watched();
}

void LinuxProcessTrees::watch(const std::shared_ptr<Tree>& tree) {
  if (tree->gone() || std::ranges::find(watched_, tree) != watched_.end()) return;
  watched_.push_back(tree);
  tree->watch();
  check_watched();
}

void LinuxProcessTrees::bury(std::shared_ptr<Tree> tree) {
  tree->kill();
  watch(tree);
}

void LinuxProcessTrees::read_child_signals() {
  child_signals_.async_wait(
      boost::asio::posix::descriptor_base::wait_read,
      [this, alive = std::weak_ptr<bool>(alive_)](const boost::system::error_code& ec) {
        if (ec || alive.expired()) return;
        std::array<signalfd_siginfo, 8> signals;
        [[maybe_unused]] const ssize_t drained =
            ::read(child_signals_.native_handle(), signals.data(), sizeof(signals));
        reap_orphans();
        check_watched();
        read_child_signals();
      });
}

void LinuxProcessTrees::reap_orphans() {
  while (true) {
    siginfo_t ended{};
    if (::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0) return;
    if (leaders_.contains(ended.si_pid)) return;
    ::waitpid(ended.si_pid, nullptr, WNOHANG);
  }
}

void LinuxProcessTrees::check_watched() {
  const std::size_t removed =
      std::erase_if(watched_, [](const std::shared_ptr<Tree>& tree) { return tree->check_gone(); });
  if (removed > 0 && swept_) swept_->end_strays();
}

}  // namespace plugind::platform
