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

/// Memory that is swapped out is not over a limit.
bool may_swap() {
  std::ifstream file("/proc/swaps");
  std::string header, swap;
  return std::getline(file, header) && std::getline(file, swap);
}

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
      if (may_swap() || !fs::create_directory(group, ec)) continue;
      path_ = group;
      limited_ = (std::ofstream(path_ / "memory.limit_in_bytes") << kLimit << std::flush).good();
    }
  }
  ~MemoryGroup() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  bool made() const { return limited_; }
  bool move_in(std::int64_t pid) const {
    std::ofstream file(path_ / "cgroup.procs");
    file << pid << std::flush;
    return file.good();
  }

 private:
  fs::path path_;
  bool limited_ = false;
};

class MemoryKillTest : public ProcessTest {};
INSTANTIATE_TEST_SUITE_P(Keeping, MemoryKillTest,
                         testing::Values(TreeKeeping::kBest, TreeKeeping::kSweepOnly),
                         keeping_name);

TEST_P(MemoryKillTest, OneThatTheDaemonsGroupsKnowNothingOfIsLikely) {
  const MemoryGroup group;
  if (!group.made()) GTEST_SKIP() << "no control group of the first version holds memory here";
  const auto process = start(child("eat"));
  ASSERT_TRUE(run_until([&] { return out_ == "ready\n"; }));
  ASSERT_TRUE(group.move_in(process->pid()));
  ::kill(static_cast<pid_t>(process->pid()), SIGUSR1);
  const auto status = run(process->wait());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGKILL);
  EXPECT_EQ(status->memory_kill, MemoryKill::kLikely);
}

TEST_P(MemoryKillTest, OneByTheLimitOfTheTreeIsToldAsSuch) {
  SpawnRequest request = child("eat");
  request.limits.memory = kLimit;
  const auto process = start(std::move(request));
  const auto limits = process->limits();
  if (limits.size() != 1 || limits[0].holder != LimitHolder::kControlGroup || may_swap()) {
    GTEST_SKIP() << "no control group with a memory controller";
  }
  ASSERT_TRUE(run_until([&] { return out_ == "ready\n"; }));
  ::kill(static_cast<pid_t>(process->pid()), SIGUSR1);
  const auto status = run(process->wait());
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGKILL);
  EXPECT_EQ(status->memory_kill, MemoryKill::kOverLimit);
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
  if (!group.made()) GTEST_SKIP() << "no control group of the first version holds memory here";
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
  EXPECT_FALSE(memory_events_of(group.path())) << "no memory controller";
  std::ofstream(group.path() / "memory.events")
      << "low 0\nhigh 0\nmax 28\noom 7\noom_kill 3\noom_group_kill 1\n"
      << std::flush;
  const auto events = memory_events_of(group.path());
  ASSERT_TRUE(events);
  EXPECT_EQ(events->over_limit, 7u);
  EXPECT_EQ(events->kills, 3u);
  std::ofstream(group.path() / "memory.events") << "oom 7\noom_kill\n" << std::flush;
  EXPECT_FALSE(memory_events_of(group.path()));
}

TEST(MemoryKills, AreJudgedByTheGroupWhereItCounts) {
  const auto ended = [](std::optional<int> code, std::optional<int> signal) {
    return ExitStatus{.code = code, .signal = signal};
  };
  const ExitStatus killed = ended({}, SIGKILL), crashed = ended({}, SIGSEGV);
  const MemoryEvents none{}, over{.over_limit = 1, .kills = 2},
      outside{.over_limit = 0, .kills = 1};
  EXPECT_EQ(judge(killed, over, 0), MemoryKill::kOverLimit);
  EXPECT_EQ(judge(killed, outside, 0), MemoryKill::kLikely) << "the machine had none";
  EXPECT_EQ(judge(ended(137, {}), over, 0), MemoryKill::kOverLimit) << "of a shell";
  EXPECT_EQ(judge(killed, none, 5), MemoryKill::kNone) << "it was others that were killed";
  EXPECT_EQ(judge(crashed, over, 5), MemoryKill::kNone) << "that was another time";
  EXPECT_EQ(judge(ended(1, {}), over, 5), MemoryKill::kNone);
}

TEST(MemoryKills, AreJudgedByTheMachineWhereNoGroupCounts) {
  ExitStatus killed{.code = {}, .signal = SIGKILL}, crashed{.code = {}, .signal = SIGSEGV};
  EXPECT_EQ(judge(killed, std::nullopt, 1), MemoryKill::kLikely);
  EXPECT_EQ(judge(killed, std::nullopt, 0), MemoryKill::kNone);
  EXPECT_EQ(judge(crashed, std::nullopt, 1), MemoryKill::kNone);
}

}  // namespace
}  // namespace plugind::platform
