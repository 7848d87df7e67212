// What is known of a process when it has ended, besides its exit code.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "process_test.h"

namespace plugind::platform {
namespace {

constexpr std::size_t kMuch = 96 << 20;

/// Uses so many milliseconds of processor time and bytes of memory, the latter in a child if told.
int use(const std::vector<std::string>& arguments) {
  const auto work = [&] {
    std::vector<char> memory(std::stoul(arguments.at(1)));
    for (std::size_t i = 0; i < memory.size(); i += 4'096) memory[i] = 1;
    const clock_t until = std::clock() + std::stol(arguments.at(0)) * (CLOCKS_PER_SEC / 1'000);
    while (std::clock() < until) {
    }
  };
  if (arguments.size() == 2) {
    work();
    return 0;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    work();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  return 0;
}

/// Dies of SIGABRT, with its core dumped if the hard limit lets it.
int dump(const std::vector<std::string>&) {
  rlimit limit{};
  ::getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_CORE, &limit);
  ::raise(SIGABRT);
  return 98;
}

const RegisterChild kUse("use", use);
const RegisterChild kDump("dump", dump);

class ReapTest : public ProcessTest {};
INSTANTIATE_TEST_SUITE_P(Keeping, ReapTest,
                         testing::Values(TreeKeeping::kBest, TreeKeeping::kSweepOnly),
                         keeping_name);

TEST_P(ReapTest, TellsTheProcessorTimeAndMemoryOfTheProcess) {
  // More than any test of this program has needed so far.
  rusage own{};
  ::getrusage(RUSAGE_SELF, &own);
  const std::size_t more = kMuch + static_cast<std::size_t>(own.ru_maxrss) * 1'024;
  const auto status = run_child(child("use", {"30", std::to_string(more)}));
  ASSERT_TRUE(status && status->use);
  EXPECT_GE(status->use->user_time + status->use->system_time, std::chrono::milliseconds(30));
  EXPECT_GE(status->use->peak_memory, more);
  EXPECT_FALSE(status->use->peak_is_bound);
}

TEST_P(ReapTest, TellsThoseOfItsChildren) {
  const auto status = run_child(child("use", {"30", std::to_string(kMuch), "in-a-child"}));
  ASSERT_TRUE(status && status->use);
  EXPECT_GE(status->use->user_time + status->use->system_time, std::chrono::milliseconds(30));
  EXPECT_GE(status->use->peak_memory, kMuch);
}

// The kernel counts what this process has as the child's, until its exec.
TEST_P(ReapTest, DoesNotPassOurMemoryOffAsItsOwn) {
  std::vector<char> ours(kMuch);
  for (std::size_t i = 0; i < ours.size(); i += 4'096) ours[i] = 1;
  const auto status = run_child(child("exit", {"0"}));
  ASSERT_TRUE(status && status->use);
  EXPECT_TRUE(status->use->peak_is_bound || status->use->peak_memory < kMuch);
}

TEST_P(ReapTest, FindsTheCore) {
  rlimit limit{};
  ::getrlimit(RLIMIT_CORE, &limit);
  if (limit.rlim_max != RLIM_INFINITY) GTEST_SKIP() << "the limit on the size of cores is hard";
  const TemporaryDirectory directory;
  SpawnRequest request = child("dump");
  request.working_directory = directory.path();
  const auto status = run_child(std::move(request));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->signal, SIGABRT);
  EXPECT_TRUE(status->core_dumped);
  std::string pattern;
  std::getline(std::ifstream("/proc/sys/kernel/core_pattern"), pattern);
  if (pattern.starts_with("|") || pattern.starts_with("@") || pattern.starts_with("/")) {
    EXPECT_NE(status->core.file + status->core.note, "");
  } else {
    EXPECT_EQ(std::filesystem::path(status->core.file).parent_path(), directory.path())
        << status->core.note;
    EXPECT_TRUE(std::filesystem::exists(status->core.file));
  }
}

}  // namespace
}  // namespace plugind::platform
