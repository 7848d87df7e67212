// Processes that the kernel kills because there is no memory left.
#include "daemon/platform/linux/memory_kills.h"

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "process_test.h"

namespace plugind::platform {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLimit = 64 << 20;

/// Waits for SIGUSR1, then uses more memory than it may.
int eat(const std::vector<std::string>&) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGUSR1);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  if (::write(STDOUT_FILENO, "ready\n", 6) != 6) return 1;
  int signal = 0;
  ::sigwait(&set, &signal);
  void* const memory =
      ::mmap(nullptr, 4 * kLimit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 2;
  for (std::size_t at = 0; at < 4 * kLimit; at += 4'096)
    static_cast<volatile char*>(memory)[at] = 1;
  return 3;
}
const RegisterChild kEat("eat", eat);

/// A control group of the first version, of which the daemon knows nothing; empty if none may be
/// made.
class MemoryGroup {
 public:
  MemoryGroup() {
    std::ifstream file("/proc/self/cgroup");
    for (std::string line; std::getline(file, line);) {
      const auto at = line.find(":memory:");
      if (at == line.npos) continue;
      const fs::path group = "/sys/fs/cgroup/memory" + line.substr(at + 8) + "/plugind-test-" +
                             std::to_string(::getpid());
      std::error_code ec;
      if (!fs::create_directory(group, ec)) continue;
      path_ = group;
      std::ofstream(path_ / "memory.limit_in_bytes") << kLimit << std::flush;
    }
  }
  ~MemoryGroup() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  bool made() const { return !path_.empty(); }
  bool move_in(std::int64_t pid) const {
    std::ofstream file(path_ / "cgroup.procs");
    file << pid << std::flush;
    return file.good();
  }

 private:
  fs::path path_;
};

class MemoryKillTest : public ProcessTest {};
INSTANTIATE_TEST_SUITE_P(Keeping, MemoryKillTest,
                         testing::Values(TreeKeeping::kBest, TreeKeeping::kSweepOnly),
                         keeping_name);

TEST_P(MemoryKillTest, OneThatTheDaemonsGroupsKnowNothingOfIsLikely) {
  const MemoryGroup group;
  if (!group.made()) GTEST_SKIP() << "no control group of the first version may be made";
  const auto process = start(child("eat"));
  ASSERT_TRUE(run_until([&] { return out_ == "ready\n"; }));
  ASSERT_TRUE(group.move_in(process->pid()));
  ::kill(static_cast<pid_t>(process->pid()), SIGUSR1);
  const auto status = run(process->wait());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGKILL);
  EXPECT_EQ(status->memory_kill, MemoryKill::kLikely);
}

TEST_P(MemoryKillTest, OneByTheLimitOfTheTreeIsCertain) {
  SpawnRequest request = child("eat");
  request.limits.memory = kLimit;
  const auto process = start(std::move(request));
  const auto limits = process->limits();
  if (limits.size() != 1 || limits[0].holder != LimitHolder::kControlGroup) {
    GTEST_SKIP() << "no control group with a memory controller";
  }
  ASSERT_TRUE(run_until([&] { return out_ == "ready\n"; }));
  ::kill(static_cast<pid_t>(process->pid()), SIGUSR1);
  const auto status = run(process->wait());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGKILL);
  EXPECT_EQ(status->memory_kill, MemoryKill::kCertain);
}

TEST_P(MemoryKillTest, AnotherSigkillIsNone) {
  const auto process = start(child("wait"));
  ASSERT_TRUE(run_until([&] { return !out_.empty(); }));
  ::kill(static_cast<pid_t>(process->pid()), SIGKILL);
  const auto status = run(process->wait());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGKILL);
  EXPECT_EQ(status->memory_kill, MemoryKill::kNone);
}

TEST_P(MemoryKillTest, ASigkillOfTheDaemonsOwnIsNoneWhateverHappenedBefore) {
  const MemoryGroup group;
  if (!group.made()) GTEST_SKIP() << "no control group of the first version may be made";
  const auto process = start(child("wait"));
  ASSERT_TRUE(run_until([&] { return !out_.empty(); }));
  out_.clear();
  const auto other = start(child("eat"));
  ASSERT_TRUE(run_until([&] { return out_ == "ready\n"; }));
  ASSERT_TRUE(group.move_in(other->pid()));
  ::kill(static_cast<pid_t>(other->pid()), SIGUSR1);
  ASSERT_EQ(run(other->wait())->memory_kill, MemoryKill::kLikely);
  process->kill_tree();
  EXPECT_EQ(run(process->wait())->memory_kill, MemoryKill::kNone);
}

TEST(MemoryKills, OfAGroupAreRead) {
  const TemporaryDirectory group;
  EXPECT_EQ(memory_kills_in(group.path()), std::nullopt) << "no memory controller";
  std::ofstream(group.path() / "memory.events")
      << "low 0\nhigh 0\nmax 28\noom 7\noom_kill 3\noom_group_kill 1\n"
      << std::flush;
  EXPECT_EQ(memory_kills_in(group.path()), 3u);
  std::ofstream(group.path() / "memory.events") << "oom_kill\n" << std::flush;
  EXPECT_EQ(memory_kills_in(group.path()), std::nullopt);
}

}  // namespace
}  // namespace plugind::platform
