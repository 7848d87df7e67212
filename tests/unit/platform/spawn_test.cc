// What a plugin finds when it starts, and what is known of it when it ends.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <csignal>
#include <cstring>
#include <fstream>

#include "process_test.h"

namespace plugind::platform {
namespace {

class SpawnTest : public ProcessTest {};
INSTANTIATE_TEST_SUITE_P(Keeping, SpawnTest,
                         testing::Values(TreeKeeping::kBest, TreeKeeping::kSweepOnly),
                         keeping_name);

TEST_P(SpawnTest, GivesTheExitCode) {
  const auto status = run_child(child("exit", {"42"}));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 42);
  EXPECT_FALSE(status->signal);
}

TEST_P(SpawnTest, GivesTheSignal) {
  const auto status = run_child(child("die", {std::to_string(SIGKILL)}));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGKILL);
  EXPECT_FALSE(status->code);
  EXPECT_FALSE(status->core_dumped);
}

TEST_P(SpawnTest, OpensNoOtherDescriptor) {
  // Not close-on-exec, as a careless library leaves it.
  const UniqueFd careless(::open("/dev/null", O_RDONLY));
  const UniqueFd high(::fcntl(careless.get(), F_DUPFD, 500));
  ASSERT_TRUE(careless && high);
  ASSERT_TRUE(run_child(child("descriptors")));
  EXPECT_EQ(out_, "fds 0 1 2\n");
}

TEST_P(SpawnTest, ResetsDispositionsAndMask) {
  struct Restore {
    sigset_t mask;
    void (*user)(int) = ::signal(SIGUSR1, SIG_IGN);
    void (*pipe)(int) = ::signal(SIGPIPE, SIG_IGN);
    Restore() {
      sigset_t blocked;
      ::sigemptyset(&blocked);
      ::sigaddset(&blocked, SIGTERM);
      ::sigaddset(&blocked, SIGRTMIN);
      ::pthread_sigmask(SIG_BLOCK, &blocked, &mask);
    }
    ~Restore() {
      ::signal(SIGUSR1, user);
      ::signal(SIGPIPE, pipe);
      ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    }
  } restore;
  ASSERT_TRUE(run_child(child("signals")));
  EXPECT_EQ(out_, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_P(SpawnTest, GivesArgumentsEnvironmentDirectoryAndStdin) {
  const TemporaryDirectory directory;
  SpawnRequest request = child("setting", {"", "two words"});
  request.environment = {"A=1", "EMPTY="};
  request.working_directory = directory.path();
  ASSERT_TRUE(run_child(std::move(request)));
  std::string expected = "argument \nargument two words\nenvironment A=1\nenvironment EMPTY=\n";
  if (!trees_->kept_by_kernel()) {
    const auto at = out_.find("environment PLUGIND_TREE=");
    ASSERT_NE(at, out_.npos) << out_;
    out_.erase(at, out_.find('\n', at) + 1 - at);
  }
  expected += "directory " + directory.path().string() + "\nstdin 0\nsession own\n";
  EXPECT_EQ(out_, expected);
}

TEST_P(SpawnTest, ReadsBothStreamsToTheEnd) {
  ASSERT_TRUE(run_child(child("streams", {"300000"})));
  EXPECT_EQ(out_, std::string(300'000, 'x'));
  EXPECT_EQ(err_, "last words");
}

TEST_P(SpawnTest, PassesAListeningSocket) {
  const TemporaryDirectory directory;
  SpawnRequest request = child("listener");
  request.listen_socket = directory.path() / "plugin.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, request.listen_socket.c_str());
  const auto process = start(std::move(request));
  ASSERT_TRUE(process);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // It listens before the program has begun.
  ASSERT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const auto status = run(process->wait());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 0);
  char text[8] = {};
  EXPECT_EQ(::read(socket.get(), text, sizeof(text)), 5);
  EXPECT_STREQ(text, "hello");
  // Only the program held it, so nobody waits in vain on a dead plugin's socket.
  const UniqueFd late(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_NE(::connect(late.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
}

TEST_P(SpawnTest, AHeldPipeDelaysTheEndByAMomentOnly) {
  const auto process = start(child("holder"));
  ASSERT_TRUE(process);
  const auto status = run(process->wait());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->code, 3);
  const auto pids = parse_pids(out_);
  ASSERT_TRUE(pids.contains("holder"));
  EXPECT_TRUE(Watched(pids.at("holder")).living());
}

TEST_P(SpawnTest, LeavesNothingWhenTheExecFails) {
  const TemporaryDirectory directory;
  SpawnRequest request = child("exit", {"0"});
  request.executable = "/nonexistent/program";
  request.listen_socket = directory.path() / "plugin.sock";
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = descriptors();
  const auto process = spawn(*trees_, std::move(request));
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().reason, Reason::kExecutableMissing);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
  EXPECT_EQ(descriptors(), before);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST_P(SpawnTest, DestroyingKillsAndReaps) {
  auto process = start(child("ignore-term"));
  ASSERT_TRUE(process);
  ASSERT_TRUE(run_until([&] { return out_.ends_with('\n'); }));
  const Watched watched(process->pid());
  process->signal_tree(Signal::kTerminate);
  EXPECT_TRUE(watched.living());
  process.reset();
  EXPECT_FALSE(watched.living());
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_P(SpawnTest, AWaitSurvivesTheProcess) {
  auto process = start(child("wait"));
  ASSERT_TRUE(process);
  std::optional<ExitStatus> status;
  bool gone = false;
  boost::asio::co_spawn(io_, process->wait(),
                        [&](std::exception_ptr, ExitStatus result) { status = result; });
  boost::asio::co_spawn(io_, process->wait_tree_gone(), [&](std::exception_ptr) { gone = true; });
  ASSERT_TRUE(run_until([&] { return !out_.empty(); }));
  process.reset();
  ASSERT_TRUE(run_until([&] { return status && gone; }));
  EXPECT_EQ(status->signal, SIGKILL);
}

TEST_P(SpawnTest, AWaitCanBeCancelled) {
  const auto process = start(child("wait"));
  ASSERT_TRUE(process);
  boost::asio::cancellation_signal cancel;
  bool cancelled = false;
  boost::asio::co_spawn(
      io_, process->wait(),
      boost::asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr error, ExitStatus) {
        cancelled = error != nullptr;
      }));
  ASSERT_TRUE(run_until([&] { return !out_.empty(); }));
  EXPECT_FALSE(cancelled);
  cancel.emit(boost::asio::cancellation_type::terminal);
  EXPECT_TRUE(run_until([&] { return cancelled; }));
  EXPECT_FALSE(process->exit_status());
}

TEST_P(SpawnTest, OutputMayDestroyTheProcess) {
  std::unique_ptr<Process> process;
  SpawnRequest request = child("streams", {"300000"});
  int calls = 0;
  request.on_output = [&](OutputStream, std::string_view) {
    ++calls;
    process.reset();
  };
  process = start(std::move(request));
  ASSERT_TRUE(process);
  ASSERT_TRUE(run_until([&] { return process == nullptr; }));
  io_.poll();
  EXPECT_EQ(calls, 1);
}

TEST_P(SpawnTest, RunningOutOfDescriptorsIsAnError) {
  rlimit limit;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  };
  const auto before = descriptors();
  int failures = 0;
  bool succeeded = false;
  // Every place where a descriptor is made has its turn to fail.
  for (int room = 0; room < 40 && !succeeded; ++room) {
    const int next = ::dup(0);
    ::close(next);
    const rlimit tight{static_cast<rlim_t>(next + room), limit.rlim_max};
    SpawnRequest request = child("exit", {"0"});
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
    auto process = spawn(*trees_, std::move(request));
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
    succeeded = process.has_value();
    if (process) {
      EXPECT_TRUE(run((*process)->wait()));
      continue;
    }
    ++failures;
    EXPECT_EQ(process.error().reason, Reason::kSpawnFailed) << process.error().message;
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(descriptors(), before) << process.error().message;
  }
  EXPECT_TRUE(succeeded);
  EXPECT_GE(failures, 6);
}

TEST_P(SpawnTest, RefusesWhatCannotBeMeant) {
  for (auto change : std::initializer_list<void (*)(SpawnRequest&)>{
           [](SpawnRequest& r) { r.executable = "relative"; },
           [](SpawnRequest& r) { r.arguments.push_back(std::string("a\0b", 3)); },
           [](SpawnRequest& r) { r.environment.push_back(std::string("A=\0", 3)); },
           [](SpawnRequest& r) { r.tree_name = "../other"; },
           [](SpawnRequest& r) { r.tree_name = ""; },
           [](SpawnRequest& r) { r.working_directory = "/nonexistent"; }}) {
    SpawnRequest request = child("exit", {"0"});
    change(request);
    const auto process = spawn(*trees_, std::move(request));
    ASSERT_FALSE(process);
    EXPECT_EQ(process.error().reason, Reason::kSpawnFailed);
  }
}

}  // namespace
}  // namespace plugind::platform
