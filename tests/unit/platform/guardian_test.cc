// A guarded daemon, killed in every way: nothing of its trees is left.
#include "daemon/platform/guardian.h"

#include <fcntl.h>
#include <sys/wait.h>

#include <boost/asio/detached.hpp>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "daemon/platform/linux/cgroup.h"
#include "daemon/platform/local_socket.h"
#include "daemon/platform/runtime_dir.h"
#include "daemon/platform/signals.h"
#include "process_test.h"

namespace plugind::platform {
namespace {

void say(const std::string& text) {
  if (::write(STDOUT_FILENO, text.data(), text.size()) < 0) ::_exit(99);
}

/// A daemon with one tree, and a file in its runtime directory.  SIGTERM: exit code 7, leaving both
/// behind on purpose, as a daemon with a defect would.  SIGQUIT: everything is stopped.
int guarded_daemon(const std::vector<std::string>& arguments) {
  if (!become_guarded() || !block_signals()) return 90;
  say("daemon " + std::to_string(::getpid()) + "\n");
  boost::asio::io_context io;
  auto trees =
      ProcessTrees::open(io.get_executor(), arguments.at(0) == "cgroup" ? TreeKeeping::kBest
                                                                        : TreeKeeping::kSweepOnly);
  if (!trees) return 91;
  const auto runtime_dir = RuntimeDir::open(arguments.at(1));
  if (!runtime_dir) return 93;
  const auto socket = LocalSocket::listen(runtime_dir->path() / "front.sock");
  if (!socket) return 94;
  entrust_to_guardian(runtime_dir->path(), socket->path());
  std::filesystem::create_directory(runtime_dir->instances() / "1");
  std::ofstream(runtime_dir->instances() / "1" / "file") << "something";
  SpawnRequest request;
  request.executable = own_executable();
  request.arguments = child_arguments("tree");
  request.tree_name = "kv#1";
  request.on_output = [](OutputStream, std::string_view text) { say(std::string(text)); };
  auto process = spawn(**trees, std::move(request));
  auto signals = SignalSource::open(io.get_executor());
  if (!process || !signals) return 92;
  std::optional<Signal> signal;
  boost::asio::co_spawn(io, signals->next(), [&](std::exception_ptr, Signal got) {
    signal = got;
    io.stop();
  });
  io.run();
  if (signal == Signal::kTerminate) ::_exit(7);
  return 0;
}

int unguardable(const std::vector<std::string>&) {
  std::thread thread([] { ::pause(); });
  thread.detach();
  const auto guarded = become_guarded();
  ::_exit(guarded ? 1 : 0);
}

const RegisterChild kChildren[] = {{"guarded-daemon", guarded_daemon},
                                   {"unguardable", unguardable}};

class GuardianTest : public testing::TestWithParam<TreeKeeping> {
 protected:
  void SetUp() override {
    if (GetParam() == TreeKeeping::kBest) {
      auto group = DaemonCgroup::make();
      if (!group) GTEST_SKIP() << group.error().message;
      cgroup_remove(group->path());
    }
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    output_ = UniqueFd(ends[0]);
    UniqueFd writing(ends[1]);
    guardian_ = ::fork();
    if (guardian_ == 0) {
      ::setpgid(0, 0);
      ::dup2(writing.get(), STDOUT_FILENO);
      ::dup(STDOUT_FILENO);  // inherited by the guardian, as from a careless starter
      const std::string self = own_executable();
      const char* way = GetParam() == TreeKeeping::kBest ? "cgroup" : "sweep";
      ::execl(self.c_str(), self.c_str(), "--child", "guarded-daemon", way, runtime_.c_str(),
              nullptr);
      ::_exit(89);
    }
    writing.reset();
    std::string text;
    char buffer[512];
    while (parse_pids(text).size() < 7) {
      pollfd input{output_.get(), POLLIN, 0};
      ASSERT_EQ(::poll(&input, 1, 10'000), 1) << text;
      const ssize_t n = ::read(output_.get(), buffer, sizeof(buffer));
      ASSERT_GT(n, 0) << text;
      text.append(buffer, static_cast<std::size_t>(n));
    }
    for (const auto& [word, pid] : parse_pids(text)) processes_.emplace(word, Watched(pid));
  }
  void TearDown() override {
    if (guardian_ > 0 && !status_) {
      ::kill(guardian_, SIGKILL);
      ::waitpid(guardian_, nullptr, 0);
    }
    // The daemon tidies up its directory, which is about to be removed.
    for (const auto& [word, watched] : processes_) EXPECT_TRUE(watched.ended()) << word;
  }

  /// How the guardian ended, as waitpid tells it.
  int guardian_status() {
    const Watched guardian(guardian_);
    EXPECT_TRUE(guardian.ended());
    int status = 0;
    if (::waitpid(guardian_, &status, WNOHANG) == guardian_) status_ = status;
    return status;
  }
  void expect_nothing_left() {
    for (const auto& [word, watched] : processes_) EXPECT_TRUE(watched.ended()) << word;
    if (const auto own = own_cgroup()) {
      EXPECT_FALSE(std::filesystem::exists(
          *own / daemon_cgroup_name(static_cast<pid_t>(processes_.at("daemon").pid()))));
    }
  }

  /// Files and sockets in its runtime directory; its own directories stay.
  std::vector<std::filesystem::path> files() const {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(runtime_)) {
      if (entry.path().parent_path() != runtime_ || !entry.is_directory()) {
        found.push_back(entry.path());
      }
    }
    return found;
  }

  TemporaryDirectory directory_;
  const std::filesystem::path runtime_ = directory_.path() / "runtime";
  pid_t guardian_ = -1;
  UniqueFd output_;
  std::optional<int> status_;
  std::map<std::string, Watched> processes_;
};
INSTANTIATE_TEST_SUITE_P(Keeping, GuardianTest,
                         testing::Values(TreeKeeping::kBest, TreeKeeping::kSweepOnly),
                         keeping_name);

TEST_P(GuardianTest, EndsWhatAKilledDaemonLeft) {
  ::kill(static_cast<pid_t>(processes_.at("daemon").pid()), SIGKILL);
  const int status = guardian_status();
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  for (const auto& [word, watched] : processes_) EXPECT_FALSE(watched.living()) << word;
  expect_nothing_left();
  EXPECT_EQ(files(), std::vector<std::filesystem::path>{});
}

TEST_P(GuardianTest, LeavesTheFilesOfADaemonThatHasTakenThePlace) {
  const auto daemon = static_cast<pid_t>(processes_.at("daemon").pid());
  ASSERT_EQ(::kill(guardian_, SIGSTOP), 0);
  ::kill(daemon, SIGKILL);
  ASSERT_TRUE(processes_.at("daemon").ended());
  const auto next = LocalSocket::listen(runtime_ / "front.sock");
  ASSERT_TRUE(next) << next.error().message;
  ASSERT_EQ(::kill(guardian_, SIGCONT), 0);
  guardian_status();
  EXPECT_TRUE(std::filesystem::exists(runtime_ / "front.sock"));
  EXPECT_TRUE(std::filesystem::exists(runtime_ / "instances" / "1" / "file"))
      << "the next daemon removes that itself";
}

TEST_P(GuardianTest, TheDaemonStopsEverythingWhenTheGuardianIsKilled) {
  // Its whole process group, as an impatient supervisor does.
  ::kill(-guardian_, SIGKILL);
  guardian_status();
  expect_nothing_left();
}

TEST_P(GuardianTest, PassesSignalsAndTheExitCodeOn) {
  ::kill(guardian_, SIGTERM);
  const int status = guardian_status();
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
  EXPECT_FALSE(files().empty()) << "who ends by itself has tidied up, or has a reason";
  for (const auto& [word, watched] : processes_) EXPECT_FALSE(watched.living()) << word;
  expect_nothing_left();
}

TEST_P(GuardianTest, IsNamedAndHoldsNoDescriptors) {
  std::ifstream name("/proc/" + std::to_string(guardian_) + "/comm");
  std::string comm;
  std::getline(name, comm);
  EXPECT_EQ(comm, "plugind-guard");
  const std::filesystem::path descriptors = "/proc/" + std::to_string(guardian_) + "/fd";
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(descriptors), {}), 3);
}

TEST(Guardian, RefusesAProcessWithThreads) {
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string self = own_executable();
    ::execl(self.c_str(), self.c_str(), "--child", "unguardable", nullptr);
    ::_exit(89);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace plugind::platform
