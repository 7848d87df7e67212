#include "daemon/platform/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/process/v2/process.hpp>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>

#include "daemon/platform/latch.h"
#include "daemon/platform/linux/child_setup.h"
#include "daemon/platform/linux/exec_failure.h"
#include "daemon/platform/linux/launcher.h"
#include "daemon/platform/linux/memory_kills.h"
#include "daemon/platform/linux/process_trees.h"
#include "daemon/platform/linux/reap.h"
#include "daemon/platform/linux/resource_limits.h"
#include "daemon/platform/linux/sandbox.h"
#include "daemon/platform/linux/signal_number.h"
#include "daemon/platform/linux/tree_use.h"
#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unix_listener.h"

namespace plugind::platform {
namespace {

namespace asio = boost::asio;
using BoostProcess = boost::process::v2::basic_process<asio::any_io_executor>;
using boost::system::error_code;

// How long a process that is not the first one may keep wait() from completing by holding a pipe
// open.
constexpr std::chrono::milliseconds kDrainBound{200};
constexpr std::chrono::milliseconds kReapBound{2'000};
constexpr std::size_t kReadSize = 16 << 10;
constexpr std::size_t kMaxTreeName = 128;
constexpr int kListenDescriptor = 3;  // where LISTEN_FDS begins
constexpr int kListenBacklog = 511;

/// The life of one first process.  Handlers hold it, so it may outlive the Process by a moment.
class Run : public std::enable_shared_from_this<Run> {
 public:
  using OnOutput = std::function<void(OutputStream, std::string_view)>;

  Run(LinuxProcessTrees& trees, std::shared_ptr<Tree> tree, OnOutput on_output)
      : trees_(trees),
        tree_(std::move(tree)),
        on_output_(std::move(on_output)),
        end_(trees.loop()),
        outputs_{Output(trees.loop(), OutputStream::kStdout),
                 Output(trees.loop(), OutputStream::kStderr)},
        drain_timer_(trees.loop()),
        done_(trees.loop()) {}

  /// Takes the reading ends of stdout and stderr, in that order.
  error_code adopt_output(int index, UniqueFd fd) {
    error_code ec;
    asio::posix::stream_descriptor& pipe = outputs_[index].pipe;
    pipe.assign(fd.get(), ec);
    if (ec) return ec;
    fd.release();
    pipe.non_blocking(true, ec);
    return ec;
  }

  /// After an error the process has been ended again.
  error_code begin(BoostProcess process, ChildFacts child) {
    child_ = std::move(child);
    child_.pid = process.id();
    // Boost's own wait does not tell what the process used.
    UniqueFd end(static_cast<int>(::syscall(SYS_pidfd_open, child_.pid, 0)));
    if (!end) return last_error();
    error_code ec;
    end_.assign(end.get(), ec);
    if (ec) return ec;
    end.release();
    process.detach();
    trees_.leader_started(child_.pid);
    tree_->started(child_.pid);
    for (Output& output : outputs_) read(output);
    end_.async_wait(asio::posix::descriptor_base::wait_read,
                    [self = shared_from_this()](const error_code&) {
                      if (!self->abandoned_) self->ended();
                    });
    return {};
  }

  /// ~Process.
  void abandon() {
    abandoned_ = true;
    for (Output& output : outputs_) output.pipe.close(ignored_);
    drain_timer_.cancel();
    kill_tree();
    if (!status_) reap_now();
    done_.set();
    if (!in_output_) on_output_ = nullptr;
    // What is pending on the loop may keep this object longer than the trees live.
    trees_.bury(std::move(tree_));
  }

  pid_t pid() const { return child_.pid; }
  const std::optional<ExitStatus>& status() const { return status_; }
  Tree& tree() { return *tree_; }
  void kill_tree() {
    killed_ = true;
    tree_->kill();
    // It may have been moved out of the tree's control group.  The pid is its own until it is
    // reaped.
    if (!status_) ::kill(child_.pid, SIGKILL);
  }
  void watch_tree() { trees_.watch(tree_); }

  static asio::awaitable<ExitStatus> wait(std::shared_ptr<Run> self) {
    co_await self->done_.wait();
    co_return *self->status_;
  }

 private:
  struct Output {
    Output(const asio::any_io_executor& loop, OutputStream which) : pipe(loop), stream(which) {}
    asio::posix::stream_descriptor pipe;
    OutputStream stream;
  };

  // A wait and then a read: no program that is silent needs a buffer.
  void read(Output& output) {
    output.pipe.async_wait(asio::posix::descriptor_base::wait_read,
                           [self = shared_from_this(), &output](error_code ec) {
                             if (!self->abandoned_) self->on_readable(output, ec);
                           });
  }

  void on_readable(Output& output, error_code ec) {
    std::array<char, kReadSize> buffer;
    const std::size_t size = ec ? 0 : output.pipe.read_some(asio::buffer(buffer), ec);
    if (ec == asio::error::would_block) return read(output);
    if (ec) {
      output.pipe.close(ignored_);
      return finish_if_drained();
    }
    hand_over(output.stream, std::string_view(buffer.data(), size));
    if (!abandoned_) read(output);
  }

  /// The receiver may destroy the Process.
  void hand_over(OutputStream stream, std::string_view bytes) {
    if (!on_output_) return;
    in_output_ = true;
    on_output_(stream, bytes);
    in_output_ = false;
    if (abandoned_) on_output_ = nullptr;
  }

  void ended() {
    // Nobody else reaps it, so the wait cannot fail; should it, the process is gone all the same.
    set_status(reap_child(child_, Reap::kWait).value_or(ExitStatus{.code = -1, .signal = {}}));
    drain_timer_.expires_after(kDrainBound);
    drain_timer_.async_wait([self = shared_from_this()](const error_code& cancelled) {
      if (!cancelled && !self->abandoned_) self->done_.set();
    });
    finish_if_drained();
  }

  std::optional<MemoryEvents> memory_events() const {
    return tree_->group().empty() ? std::nullopt : memory_events_of(tree_->group());
  }

  /// What the daemon has killed itself nobody else had to.
  MemoryKill memory_kill(const ExitStatus& status) const {
    if (killed_ || status.code == 0) return MemoryKill::kNone;
    if (!machine_kills_before_) return judge(status, memory_events(), 0);
    return judge(status, std::nullopt,
                 memory_kills_of_machine().value_or(0) - *machine_kills_before_);
  }

  void set_status(ExitStatus status) {
    status.memory_kill = memory_kill(status);
    status_ = std::move(status);
    end_.close(ignored_);
    trees_.leader_reaped(child_.pid);
  }

  void finish_if_drained() {
    if (!status_ || outputs_[0].pipe.is_open() || outputs_[1].pipe.is_open()) return;
    drain_timer_.cancel();
    done_.set();
  }

  void reap_now() {
    pollfd wait{end_.native_handle(), POLLIN, 0};
    std::optional<ExitStatus> status;
    if (::poll(&wait, 1, kReapBound.count()) == 1) status = reap_child(child_, Reap::kNow);
    // If not, it is an orphan like others from now on, and reaped as such.
    set_status(status.value_or(ExitStatus{.code = {}, .signal = SIGKILL}));
  }

  LinuxProcessTrees& trees_;
  std::shared_ptr<Tree> tree_;
  OnOutput on_output_;
  ChildFacts child_;
  asio::posix::stream_descriptor end_;  // A pidfd.
  std::array<Output, 2> outputs_;
  asio::steady_timer drain_timer_;
  Latch done_;
  std::optional<ExitStatus> status_;
  error_code ignored_;
  /// Absent where the tree's control group counts.
  const std::optional<std::uint64_t> machine_kills_before_ =
      memory_events() ? std::nullopt : memory_kills_of_machine();
  bool killed_ = false;  // By kill_tree().
  bool abandoned_ = false;
  bool in_output_ = false;
};

class LinuxProcess : public Process {
 public:
  LinuxProcess(std::shared_ptr<Run> run, std::vector<HeldLimit> limits)
      : run_(std::move(run)), limits_(std::move(limits)) {}
  ~LinuxProcess() override { run_->abandon(); }

  std::int64_t pid() const override { return run_->pid(); }
  asio::awaitable<ExitStatus> wait() override { return Run::wait(run_); }
  std::optional<ExitStatus> exit_status() const override { return run_->status(); }
  void signal_tree(Signal signal) override { run_->tree().signal(signal_number(signal)); }
  void kill_tree() override { run_->kill_tree(); }
  asio::awaitable<void> wait_tree_gone() override {
    run_->watch_tree();
    return run_->tree().wait_gone();
  }
  std::vector<std::int64_t> tree_pids() const override {
    const std::vector<pid_t> pids = run_->tree().pids();
    return {pids.begin(), pids.end()};
  }
  const std::vector<HeldLimit>& limits() const override { return limits_; }
  std::optional<CurrentUse> use() const override {
    const Tree& tree = run_->tree();
    if (tree.gone()) return std::nullopt;
    return tree_use(tree.group(), tree.pids());
  }

 private:
  std::shared_ptr<Run> run_;
  std::vector<HeldLimit> limits_;
};

std::unexpected<Error> spawn_failed(const SpawnRequest& request, const std::string& why) {
  return std::unexpected(
      make_error(Reason::kSpawnFailed, "cannot start " + request.executable + ": " + why));
}

std::expected<void, Error> check(const SpawnRequest& request) {
  const auto cut = [](const std::string& text) { return text.find('\0') != text.npos; };
  if (cut(request.executable) || cut(request.working_directory) ||
      std::ranges::any_of(request.arguments, cut) ||
      std::ranges::any_of(request.environment, cut)) {
    return spawn_failed(request, "a NUL byte in its command, environment or directory; remove it");
  }
  if (!request.executable.starts_with('/')) {
    return spawn_failed(request, "the path of a command has to be absolute");
  }
  const bool plain = std::ranges::all_of(request.tree_name, [](unsigned char c) {
    return std::isalnum(c) || std::string_view("._#@-").contains(static_cast<char>(c));
  });
  if (!plain || request.tree_name.empty() || request.tree_name.size() > kMaxTreeName ||
      request.tree_name.starts_with('.')) {
    return spawn_failed(request, "\"" + request.tree_name + "\" cannot name a process tree");
  }
  return {};
}

/// Above every descriptor that the program gets.
UniqueFd raised(UniqueFd fd) {
  if (fd && fd.get() <= kListenDescriptor) {
    fd.reset(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kListenDescriptor + 1));
  }
  return fd;
}

/// What the child is given.
struct Ends {
  UniqueFd null, out, err, listener;
};

error_code make_pipe(UniqueFd& writing, Run& run, int index) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return last_error();
  UniqueFd reading(ends[0]);
  writing = raised(UniqueFd(ends[1]));
  if (!writing) return last_error();
  return run.adopt_output(index, std::move(reading));
}

std::expected<Ends, Error> make_ends(const SpawnRequest& request, Run& run) {
  Ends ends;
  ends.null = raised(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  error_code ec = ends.null ? error_code() : last_error();
  if (!ec) ec = make_pipe(ends.out, run, 0);
  if (!ec) ec = make_pipe(ends.err, run, 1);
  if (ec) {
    return std::unexpected(explain_spawn_failure(request.executable, request.working_directory,
                                                 SpawnStage::kSetup, ec.value()));
  }
  if (!request.listen_socket.empty()) {
    auto listener = bind_and_listen(request.listen_socket, 0600, kListenBacklog);
    if (!listener) return std::unexpected(listener.error());
    ends.listener = raised(std::move(*listener));
    if (!ends.listener) {
      const int error = errno;
      ::unlink(request.listen_socket.c_str());
      return std::unexpected(explain_spawn_failure(request.executable, request.working_directory,
                                                   SpawnStage::kSetup, error));
    }
  }
  return ends;
}

/// Null if the program is to be of our own user.
const RunAs* foreign_user(const SpawnRequest& request) {
  if (!request.run_as) return nullptr;
  const bool own = request.run_as->uid == ::geteuid() && request.run_as->gid == ::getegid();
  return own ? nullptr : &*request.run_as;
}

/// Lets `user` have its directory.  Not before the listening socket is made in it: what we do by
/// name in a directory of somebody else's may hit another file.
std::expected<void, Error> hand_over(const SpawnRequest& request, const RunAs* user) {
  if (!user || request.private_directory.empty()) return {};
  const std::filesystem::path directory = request.private_directory;
  if (::lchown(directory.c_str(), user->uid, user->gid) != 0) {
    return std::unexpected(user_refused(request.executable, user->uid, errno));
  }
  const std::filesystem::path above = directory.parent_path();
  for (const auto& path : {above, above.parent_path()}) {
    struct stat info;
    if (::stat(path.c_str(), &info) != 0 || info.st_uid != ::geteuid()) continue;
    // If this fails, the program cannot enter its directory, and that is told then.
    if ((info.st_mode & 011) != 011) ::chmod(path.c_str(), (info.st_mode & 07777) | 011);
  }
  return {};
}

std::expected<SandboxPlan, Error> sandbox_of(const SpawnRequest& request, uid_t uid) {
  auto plan = plan_sandbox(request.sandbox, uid);
  if (!plan || !plan->ruleset) return plan;
  plan->ruleset = raised(std::move(plan->ruleset));
  // Without it the program would run, and write where it likes.
  if (!plan->ruleset) {
    return std::unexpected(explain_spawn_failure(request.executable, request.working_directory,
                                                 SpawnStage::kSetup, errno));
  }
  return plan;
}

/// The environment as exec takes it; `own_pid` is where the child writes its pid, or null.
struct EnvironmentBlock {
  EnvironmentBlock(const SpawnRequest& request, const std::string& marker) {
    entries = request.environment;
    if (!marker.empty()) entries.push_back(marker);
    if (!request.listen_socket.empty()) {
      entries.push_back("LISTEN_FDS=1");
      const std::string name = "LISTEN_PID=";
      entries.push_back(name + std::string(OwnPid::kDigits, '\0'));
      own_pid = entries.back().data() + name.size();
    }
    for (const std::string& entry : entries) pointers.push_back(entry.c_str());
    pointers.push_back(nullptr);
  }
  EnvironmentBlock(const EnvironmentBlock&) = delete;
  EnvironmentBlock& operator=(const EnvironmentBlock&) = delete;

  std::vector<std::string> entries;
  std::vector<const char*> pointers;
  char* own_pid = nullptr;
};

/// A process that was started, or only rehearsed.
struct Launched {
  std::shared_ptr<Run> run;
  BoostProcess process;  ///< Of a rehearsal.
  std::vector<HeldLimit> held;
  int untried = 0;  ///< Of a rehearsal: the errno that kept it from the program itself.
};

std::expected<Launched, Error> launch(ProcessTrees& trees, SpawnRequest request, bool rehearsal) {
  if (auto checked = check(request); !checked) return std::unexpected(checked.error());
  auto& host = static_cast<LinuxProcessTrees&>(trees);
  auto tree = host.make_tree(request.tree_name);
  if (!tree) return std::unexpected(tree.error());
  auto run = std::make_shared<Run>(host, *tree, std::move(request.on_output));
  auto ends = make_ends(request, *run);
  if (!ends) return std::unexpected(ends.error());

  const RunAs* user = foreign_user(request);
  const uid_t uid = user ? user->uid : ::geteuid();
  auto plan = plan_limits(request.limits, (*tree)->group(), {.uid = uid, .own = user == nullptr});
  auto sandbox = sandbox_of(request, uid);
  auto ready = !plan      ? std::unexpected(plan.error())
               : !sandbox ? std::unexpected(sandbox.error())
                          : hand_over(request, user);
  if (!ready) {
    if (ends->listener) ::unlink(request.listen_socket.c_str());
    return std::unexpected(std::move(ready.error()));
  }

  // Out of the way of the descriptors that the program gets.
  const UniqueFd image(
      request.sealed ? ::fcntl(request.sealed->descriptor(), F_DUPFD_CLOEXEC, kListenDescriptor + 1)
                     : -1);
  if (request.sealed && !image) {
    const int error = errno;
    if (ends->listener) ::unlink(request.listen_socket.c_str());
    return std::unexpected(explain_spawn_failure(request.executable, request.working_directory,
                                                 SpawnStage::kSetup, error));
  }

  const EnvironmentBlock environment(request, (*tree)->marker());
  CloneLauncher launcher;
  launcher.env = environment.pointers.data();
  launcher.cgroup = (*tree)->cgroup();
  launcher.image = image.get();
  launcher.rehearsal = rehearsal;
  error_code ec;
  BoostProcess process =
      launcher(host.loop(), ec, CloneLauncher::Path(request.executable), request.arguments,
               NewSession{}, BindDescriptor{STDIN_FILENO, ends->null.get()},
               BindDescriptor{STDOUT_FILENO, ends->out.get()},
               BindDescriptor{STDERR_FILENO, ends->err.get()},
               BindDescriptor{kListenDescriptor, ends->listener.get()}, OwnPid{environment.own_pid},
               // It takes a descriptor, above all that the daemon has until the exec closes those.
               NoNetwork{sandbox->no_network}, SetProcessLimits{plan->process_limits},
               FileMask{request.umask},
               NoNewPrivileges{request.no_new_privileges || request.sandbox.any()}, Identity{user},
               // As the user that it becomes, who may not be let in.
               WorkingDirectory{request.working_directory.c_str()}, Confinement{*sandbox});
  const bool untried = launcher.failed_stage == SpawnStage::kRehearsal;
  if (!ec && !rehearsal) {
    ec = run->begin(std::move(process), {.uid = uid,
                                         .gid = user ? user->gid : ::getegid(),
                                         .directory = std::move(request.working_directory),
                                         .inherited_peak = own_peak_memory()});
    if (ec) launcher.failed_stage = SpawnStage::kRegister;
  }
  if (ends->listener && (ec || rehearsal)) ::unlink(request.listen_socket.c_str());
  if (ec && !untried) {
    return std::unexpected(explain_spawn_failure(request.executable, request.working_directory,
                                                 launcher.failed_stage, ec.value(),
                                                 user ? std::optional(user->uid) : std::nullopt));
  }
  return Launched{std::move(run), std::move(process), std::move(plan->held),
                  untried ? ec.value() : 0};
}

}  // namespace

std::expected<std::unique_ptr<Process>, Error> spawn(ProcessTrees& trees, SpawnRequest request) {
  auto launched = launch(trees, std::move(request), false);
  if (!launched) return std::unexpected(std::move(launched.error()));
  return std::make_unique<LinuxProcess>(std::move(launched->run), std::move(launched->held));
}

std::expected<Rehearsal, Error> rehearse(ProcessTrees& trees, SpawnRequest request) {
  auto launched = launch(trees, std::move(request), true);
  if (!launched) return std::unexpected(std::move(launched.error()));
  Rehearsal result{.limits = std::move(launched->held), .not_tried = {}};
  if (launched->untried != 0) {
    result.not_tried = "plugind may not trace a process here: " + errno_text(launched->untried);
  }
  return result;
}

}  // namespace plugind::platform
