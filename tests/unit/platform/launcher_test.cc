// The defects of Boost.Process 1.81's launchers, each by itself.  What needs a whole plugin, such
// as descriptors and signals, is in spawn_test.cc.
#include "daemon/platform/linux/launcher.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <boost/process/v2/start_dir.hpp>
#include <csignal>
#include <new>

#include "test_support.h"

namespace plugind::platform {
namespace {

class LauncherTest : public LoopTest {
 protected:
  int wait_for(CloneLauncher::Process<boost::asio::any_io_executor>& process) {
    int status = 0;
    EXPECT_EQ(::waitpid(process.id(), &status, 0), process.id());
    process.detach();
    return status;
  }
  static bool has_child() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
  }

  CloneLauncher launcher_;
  boost::system::error_code ec_;
  const CloneLauncher::Path missing_{"/nonexistent/program"};
  const std::vector<std::string> none_;
};

TEST_F(LauncherTest, AFailedExecLeavesNoZombie) {
  const auto process = launcher_(io_.get_executor(), ec_, missing_, none_);
  EXPECT_EQ(ec_.value(), ENOENT);
  EXPECT_EQ(launcher_.failed_stage, SpawnStage::kExec);
  EXPECT_FALSE(process.is_open());
  EXPECT_FALSE(has_child());
}

TEST_F(LauncherTest, TheErrorCodeOverloadsDoNotThrow) {
  EXPECT_NO_THROW(launcher_(io_, ec_, missing_, none_));
  EXPECT_EQ(ec_.value(), ENOENT);
  EXPECT_NO_THROW(launcher_(io_.get_executor(), ec_, missing_, none_));
  EXPECT_EQ(ec_.value(), ENOENT);
}

/// Shared with child processes; counts runs of the exit handler in them.
std::atomic<int>* exits_of_children = nullptr;
pid_t tester = 0;

TEST_F(LauncherTest, TheChildRunsNoExitHandlers) {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  exits_of_children = new (page) std::atomic<int>(0);
  tester = ::getpid();
  ASSERT_EQ(std::atexit([] {
              if (::getpid() != tester) ++*exits_of_children;
            }),
            0);
  launcher_(io_.get_executor(), ec_, missing_, none_);
  EXPECT_EQ(ec_.value(), ENOENT);
  EXPECT_EQ(exits_of_children->load(), 0);
}

TEST_F(LauncherTest, AFailedInitializerIsReported) {
  struct Refuse {
    CloneLauncher::ErrorCode on_exec_setup(CloneLauncher&, const CloneLauncher::Path&,
                                           const char* const*) const {
      return {EXDEV, boost::system::system_category()};
    }
  };
  const auto process =
      launcher_(io_.get_executor(), ec_, CloneLauncher::Path("/bin/true"), none_, Refuse{});
  EXPECT_EQ(ec_.value(), EXDEV);
  EXPECT_EQ(launcher_.failed_stage, SpawnStage::kChild);
  EXPECT_FALSE(process.is_open());
  EXPECT_FALSE(has_child());
}

TEST_F(LauncherTest, BoostsInitializersWork) {
  boost::asio::any_io_executor executor = io_.get_executor();
  const char* const environment[] = {"A=1", "PATH=/bin:/usr/bin", nullptr};
  launcher_.env = environment;
  auto process =
      launcher_(executor, ec_, CloneLauncher::Path("/bin/sh"),
                std::vector<std::string>{"-c", "test \"$A\" = 1 && test \"$(pwd)\" = /usr"},
                boost::process::v2::process_start_dir("/usr"));
  ASSERT_FALSE(ec_) << ec_.message();
  EXPECT_EQ(wait_for(process), 0);
}

TEST_F(LauncherTest, TheChildDiesWithItsParent) {
  // The middle process starts a program by the launcher and is killed.
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const pid_t middle = ::fork();
  if (middle == 0) {
    boost::asio::io_context io;
    CloneLauncher launcher;
    boost::system::error_code ec;
    auto process = launcher(io.get_executor(), ec, CloneLauncher::Path("/bin/sleep"),
                            std::vector<std::string>{"1000"});
    const int pid = ec ? 0 : process.id();
    if (::write(writing.get(), &pid, sizeof(pid)) < 0) ::_exit(1);
    while (true) ::pause();
  }
  writing.reset();
  int pid = 0;
  ASSERT_EQ(::read(reading.get(), &pid, sizeof(pid)), static_cast<ssize_t>(sizeof(pid)));
  ASSERT_GT(pid, 0);
  const Watched program(pid);
  EXPECT_TRUE(program.living());
  ::kill(middle, SIGKILL);
  ::waitpid(middle, nullptr, 0);
  EXPECT_TRUE(program.ended());
}

}  // namespace
}  // namespace plugind::platform
