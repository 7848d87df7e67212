// Nothing of a tree is left, whatever its processes did.
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <set>

#include "daemon/platform/linux/cgroup.h"
#include "daemon/platform/linux/proc_fs.h"
#include "daemon/platform/linux/process_sweep.h"
#include "process_test.h"

namespace plugind::platform {
namespace {

class ProcessTreeTest : public ProcessTest {
 protected:
  /// Starts a tree and waits until all of it has told its pids.
  std::unique_ptr<Process> start_tree(std::vector<std::string> arguments = {}) {
    auto process = start(child("tree", arguments));
    EXPECT_TRUE(run_until([&] { return parse_pids(out_).size() == 6; })) << out_;
    for (const auto& [word, pid] : parse_pids(out_)) tree_.emplace(word, Watched(pid));
    out_.clear();
    return process;
  }

  /// Runs the loop meanwhile, which reaps.
  bool has_ended(const Watched& watched) {
    return run_until([&] { return !watched.living(); });
  }
  bool no_children_left() {
    return run_until([] { return ::waitpid(-1, nullptr, WNOHANG) == -1; });
  }

  /// How many living processes run our child program `name`.
  static int processes_named(const std::string& name) {
    int count = 0;
    for (const ProcessInfo& info : all_processes()) {
      std::ifstream file("/proc/" + std::to_string(info.id.pid) + "/cmdline");
      std::string line;
      std::getline(file, line);
      const std::string expected = own_executable() + '\0' + "--child" + '\0' + name + '\0';
      if (info.living && line == expected) ++count;
    }
    return count;
  }

  std::map<std::string, Watched> tree_;
};
INSTANTIATE_TEST_SUITE_P(Keeping, ProcessTreeTest,
                         testing::Values(TreeKeeping::kBest, TreeKeeping::kSweepOnly),
                         keeping_name);

TEST_P(ProcessTreeTest, ListsTheLivingProcesses) {
  const auto process = start_tree();
  std::vector<std::int64_t> expected;
  for (const auto& [word, watched] : tree_) {
    if (word != "stray" || trees_->kept_by_kernel()) expected.push_back(watched.pid());
  }
  std::ranges::sort(expected);
  EXPECT_EQ(process->tree_pids(), expected);
}

TEST_P(ProcessTreeTest, TellsWhatItUses) {
  const auto process = start_tree();
  const auto use = process->use();
  ASSERT_TRUE(use);
  EXPECT_GT(use->memory, 0u);
  std::uint64_t resident = 0;
  for (const std::int64_t pid : process->tree_pids()) {
    resident += process_use(static_cast<pid_t>(pid))->resident;
  }
  EXPECT_LE(use->memory, 2 * resident) << "of these processes, and not of others";
  process->kill_tree();
  run(process->wait_tree_gone());
  EXPECT_FALSE(process->use());
}

TEST_P(ProcessTreeTest, CountsTheTimeOfProcessesThatHaveEnded) {
  const auto process = start(child("burn", {"100"}));
  ASSERT_TRUE(run_until([&] { return out_ == "burnt\n"; })) << out_;
  const auto use = process->use();
  ASSERT_TRUE(use);
  EXPECT_GE(use->cpu_time, std::chrono::milliseconds(50)) << "of 100, less what ticks cut off";
}

TEST_P(ProcessTreeTest, DescendantsAreWhatASearchOfEverythingFinds) {
  const auto process = start_tree();
  std::set<pid_t> expected{::getpid()};
  add_descendants(all_processes(), expected);
  std::set<pid_t> found{::getpid()};
  for (const ProcessInfo& info : descendants(::getpid())) found.insert(info.id.pid);
  EXPECT_EQ(found, expected);
  EXPECT_GE(found.size(), 7u);
}

TEST_P(ProcessTreeTest, KillsTheWholeTree) {
  const auto process = start_tree();
  process->kill_tree();
  EXPECT_TRUE(run(process->wait_tree_gone()));
  EXPECT_TRUE(run(process->wait()));
  EXPECT_TRUE(process->tree_pids().empty());
  for (const auto& [word, watched] : tree_) EXPECT_TRUE(has_ended(watched)) << word;
  EXPECT_TRUE(no_children_left());
}

TEST_P(ProcessTreeTest, DestroyingTheProcessEndsTheTree) {
  auto process = start_tree();
  process.reset();
  for (const auto& [word, watched] : tree_) EXPECT_TRUE(has_ended(watched)) << word;
  EXPECT_TRUE(no_children_left());
}

TEST_P(ProcessTreeTest, TheTreeOutlivesItsFirstProcess) {
  const auto process = start_tree({"leave"});
  ASSERT_TRUE(run(process->wait()));
  EXPECT_TRUE(tree_.at("session").living());
  EXPECT_TRUE(tree_.at("orphan").living());
  EXPECT_EQ(process->tree_pids().size(), trees_->kept_by_kernel() ? 5u : 4u);
  process->kill_tree();
  EXPECT_TRUE(run(process->wait_tree_gone()));
  for (const auto& [word, watched] : tree_) EXPECT_TRUE(has_ended(watched)) << word;
  EXPECT_TRUE(no_children_left());
}

TEST_P(ProcessTreeTest, WhoWasSeenInTheTreeStaysInIt) {
  auto other = start(child("wait"));
  const auto process = start(child("hide"));
  ASSERT_TRUE(run_until([&] { return parse_pids(out_).contains("stray"); }));
  ASSERT_EQ(process->tree_pids().size(), 3u);
  const Watched middle(parse_pids(out_).at("middle")), stray(parse_pids(out_).at("stray"));
  ::kill(static_cast<pid_t>(middle.pid()), SIGKILL);
  ASSERT_TRUE(middle.ended());
  std::vector<std::int64_t> expected{process->pid(), stray.pid()};
  std::ranges::sort(expected);
  EXPECT_EQ(process->tree_pids(), expected);
  process->kill_tree();
  EXPECT_TRUE(has_ended(stray));
}

TEST_P(ProcessTreeTest, ASignalReachesEveryProcess) {
  for (const Signal signal : {Signal::kTerminate, Signal::kInterrupt, Signal::kQuit,
                              Signal::kHangup, Signal::kUser1, Signal::kUser2}) {
    out_.clear();
    const auto process = start(child("holder"));
    ASSERT_TRUE(run(process->wait()));
    const Watched holder(parse_pids(out_).at("holder"));
    ASSERT_TRUE(holder.living());
    process->signal_tree(signal);
    EXPECT_TRUE(run(process->wait_tree_gone())) << to_string(signal);
    EXPECT_FALSE(holder.living()) << to_string(signal);
  }
}

TEST_P(ProcessTreeTest, AKilledTreeLeavesTheOtherAlone) {
  const auto other = start(child("wait"));
  ASSERT_TRUE(run_until([&] { return !out_.empty(); }));
  out_.clear();
  auto process = start_tree();
  process.reset();
  for (const auto& [word, watched] : tree_) {
    // Without control groups nobody can tell whose the stray is while another tree lives that may
    // have brought it forth.
    if (word == "stray" && !trees_->kept_by_kernel()) continue;
    EXPECT_TRUE(has_ended(watched)) << word;
  }
  EXPECT_FALSE(other->exit_status());
  EXPECT_TRUE(Watched(other->pid()).living());
}

TEST_P(ProcessTreeTest, TheLastTreeTakesTheStraysWithIt) {
  auto other = start(child("wait"));
  ASSERT_TRUE(run_until([&] { return !out_.empty(); }));
  out_.clear();
  auto process = start_tree();
  process.reset();
  other.reset();
  EXPECT_TRUE(has_ended(tree_.at("stray")));
}

TEST_P(ProcessTreeTest, EndsAProcessThatForksItselfAway) {
  // The first process leaves, so nothing of the tree stays in one place.
  auto process = start(child("hop", {"leave"}));
  ASSERT_TRUE(run(process->wait()));
  process->kill_tree();
  EXPECT_TRUE(run(process->wait_tree_gone()));
  // It is somebody else at each look, so one look is not enough.
  for (int look = 0; look < 20; ++look) EXPECT_EQ(processes_named("hop"), 0);
}

TEST_P(ProcessTreeTest, ASearchIsRepeatedUntilItFindsNobodyNew) {
  const auto first = start(child("wait"));
  const auto second = start(child("wait"));
  const ProcessId one = process_info(static_cast<pid_t>(first->pid()))->id;
  const ProcessId two = process_info(static_cast<pid_t>(second->pid()))->id;
  // The second is found late, as a process is that a search missed.
  int searches = 0;
  stop_and_kill([&] {
    return ++searches == 1 ? std::vector<ProcessId>{one} : std::vector<ProcessId>{one, two};
  });
  EXPECT_EQ(searches, 3);
  EXPECT_EQ(run(first->wait())->signal, SIGKILL);
  EXPECT_EQ(run(second->wait())->signal, SIGKILL);
}

TEST_P(ProcessTreeTest, AnEmptiedControlGroupIsGoneWithoutAnEndOfAChild) {
  if (!trees_->kept_by_kernel()) GTEST_SKIP() << "no control groups";
  const auto process = start(child("wait"));
  ASSERT_TRUE(run_until([&] { return !out_.empty(); }));
  bool gone = false;
  boost::asio::co_spawn(io_, process->wait_tree_gone(), [&](std::exception_ptr) { gone = true; });
  io_.poll();
  EXPECT_FALSE(gone);
  std::ofstream(*own_cgroup() / "cgroup.procs") << process->pid() << std::flush;
  EXPECT_TRUE(run_until([&] { return gone; }));
  EXPECT_FALSE(process->exit_status());
}

TEST_P(ProcessTreeTest, AFirstProcessThatLeftItsControlGroupEndsToo) {
  if (!trees_->kept_by_kernel()) GTEST_SKIP() << "no control groups";
  auto process = start(child("wait"));
  ASSERT_TRUE(run_until([&] { return !out_.empty(); }));
  std::ofstream(*own_cgroup() / "cgroup.procs") << process->pid() << std::flush;
  const Watched watched(process->pid());
  process->kill_tree();
  EXPECT_TRUE(has_ended(watched));
}

TEST_P(ProcessTreeTest, OrphansAreReapedAndStatusesKept) {
  // Both end while the loop does not run, so that they are zombies together.
  const auto first = start(child("holder"));
  const auto second = start(child("exit", {"5"}));
  const Watched leader(first->pid()), quick(second->pid());
  ASSERT_TRUE(leader.ended());
  ASSERT_TRUE(quick.ended());
  ASSERT_TRUE(run_until([&] { return parse_pids(out_).contains("holder"); }));
  const auto holder = parse_pids(out_).at("holder");
  ::kill(static_cast<pid_t>(holder), SIGKILL);
  EXPECT_EQ(run(first->wait())->code, 3);
  EXPECT_EQ(run(second->wait())->code, 5);
  EXPECT_TRUE(no_children_left());
}

TEST_P(ProcessTreeTest, ClosingEndsEverything) {
  auto process = start_tree({"leave"});
  ASSERT_TRUE(run(process->wait()));
  process.reset();
  trees_.reset();
  for (const auto& [word, watched] : tree_) EXPECT_FALSE(watched.living()) << word;
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  if (const auto own = own_cgroup()) {
    EXPECT_FALSE(std::filesystem::exists(*own / daemon_cgroup_name(::getpid())));
  }
}

TEST(DaemonCgroup, RemovesWhatADeadDaemonLeft) {
  auto mine = DaemonCgroup::make();
  if (!mine) GTEST_SKIP() << mine.error().message;
  // No process has this pid; it is above what the kernel gives out.
  const auto left = mine->path().parent_path() / daemon_cgroup_name(4'194'305);
  ASSERT_TRUE(std::filesystem::create_directories(left / "kv#1" / "nested"));
  const auto living = mine->path();
  auto again = DaemonCgroup::make();
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_FALSE(again);  // ours is locked
  EXPECT_TRUE(std::filesystem::exists(living));
  EXPECT_TRUE(cgroup_remove(living));
}

}  // namespace
}  // namespace plugind::platform
