// Limits of a tree: those of a control group, as files; those of setrlimit, with programs that try
// to break them.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>
#include <sstream>

#include "daemon/platform/linux/cgroup.h"
#include "daemon/platform/linux/cgroup_limits.h"
#include "daemon/platform/linux/child_setup.h"
#include "daemon/platform/linux/launcher.h"
#include "daemon/platform/linux/resource_limits.h"
#include "process_test.h"

namespace plugind::platform {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

namespace fs = std::filesystem;

// Of nobody on any system.
constexpr std::uint32_t kStranger = 61'020;

std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// A directory with the files of a control group.
class FakeGroup {
 public:
  explicit FakeGroup(const std::vector<std::string>& files) {
    for (const std::string& file : files) std::ofstream(path() / file);
  }
  const fs::path& path() const { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
};

std::string described(const std::vector<HeldLimit>& limits) {
  std::string text;
  for (const HeldLimit& limit : limits) {
    const char* const holder = limit.holder == LimitHolder::kControlGroup   ? "group"
                               : limit.holder == LimitHolder::kProcessLimit ? "process"
                                                                            : "nothing";
    text += limit.name + " " + holder + (limit.note.empty() ? "" : ": " + limit.note) + "\n";
  }
  return text;
}

const ResourceLimits kAll{.memory = 64u << 20, .cpu = 150, .processes = 7, .open_files = 99};

TEST(LimitPlanTest, AControlGroupHoldsWhatItCan) {
  const FakeGroup group({"memory.max", "memory.oom.group", "cpu.max", "pids.max"});
  const auto plan = plan_limits(kAll, group.path(), {});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(text_of(group.path() / "memory.max"), "67108864");
  EXPECT_EQ(text_of(group.path() / "memory.oom.group"), "1");
  EXPECT_EQ(text_of(group.path() / "cpu.max"), "150000 100000");
  EXPECT_EQ(text_of(group.path() / "pids.max"), "7");
  EXPECT_EQ(described(plan->held),
            "memory group\ncpu group\nprocesses group\nopen_files process: of each process\n");
  ASSERT_EQ(plan->process_limits.size(), 1u);
  EXPECT_EQ(plan->process_limits[0].resource, RLIMIT_NOFILE);
  EXPECT_EQ(plan->process_limits[0].value, 99u);
}

TEST(LimitPlanTest, WhatTheGroupLacksIsHeldOtherwiseOrNot) {
  const FakeGroup group({"cpu.max"});
  const auto plan = plan_limits(kAll, group.path(), {.uid = kStranger, .own = false});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(described(plan->held),
            "memory process: of each process, what it may write to and does not share; its control "
            "group has no memory controller\n"
            "cpu group\n"
            "processes process: of all processes of uid 61020 together; its control group has no "
            "pids controller\n"
            "open_files process: of each process\n");
  EXPECT_EQ(plan->process_limits.size(), 3u);
}

TEST(LimitPlanTest, WithoutAGroupNobodyCountsOurOwnProcessesOrTime) {
  for (const ProgramUser user :
       {ProgramUser{.uid = kStranger, .own = true}, ProgramUser{.uid = 0, .own = false}}) {
    const auto plan = plan_limits(kAll, "", user);
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_EQ(described(plan->held),
              "memory process: of each process, what it may write to and does not share; it has no "
              "control group\n"
              "cpu nothing: it has no control group\n"
              "processes nothing: it has no control group; without one it holds for a plugin with "
              "a `user` of its own only\n"
              "open_files process: of each process\n");
  }
}

TEST(LimitPlanTest, ARequiredLimitThatNothingHoldsIsAnError) {
  const auto refused = plan_limits({.cpu = 50, .required = true}, "", {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::kIsolationUnavailable);
  EXPECT_EQ(refused.error().message,
            "limits.cpu cannot be enforced here: it has no control group; run plugind where it may "
            "use control groups (Delegate=yes of a systemd unit), or remove `limits.required`");
  EXPECT_TRUE(plan_limits({.open_files = 20, .required = true}, "", {}));
}

TEST(LimitPlanTest, NoLimitsNeedNothing) {
  const FakeGroup group({"memory.max", "cpu.max", "pids.max"});
  const auto plan = plan_limits({}, group.path(), {});
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->held.empty() && plan->process_limits.empty());
  EXPECT_EQ(text_of(group.path() / "memory.max"), "");
}

TEST(ControllersTest, OnlyWhatIsThereAndNotYetHandedDownIsAskedFor) {
  const FakeGroup group({});
  std::ofstream(group.path() / "cgroup.controllers") << "cpuset cpu memory";
  std::ofstream(group.path() / "cgroup.subtree_control") << "memory";
  EXPECT_EQ(hand_down_controllers(group.path(), limit_controllers(), {}),
            "the control group " + group.path().string() + " lacks the controllers pids");
  // As a file it keeps what was there behind the new text; a control group would not.
  EXPECT_EQ(text_of(group.path() / "cgroup.subtree_control"), "+cpury");
  EXPECT_FALSE(fs::exists(supervisor_group(group.path())));
}

/// A control group of the real kernel, if there may be one with a controller to hand down.
class RealGroupTest : public LoopTest {
 protected:
  void SetUp() override {
    const auto own = own_cgroup();
    if (!own) GTEST_SKIP() << "no control groups";
    std::ifstream controllers(*own / "cgroup.controllers");
    controllers >> controller_;
    group_ = *own / ("unit-limits-" + std::to_string(::getpid()));
    if (controller_.empty() || ::mkdir(group_.c_str(), 0755) != 0) {
      GTEST_SKIP() << "no control group with a controller can be made";
    }
    made_ = true;
    // Handed down already, or refused to our own group: then there is nothing to test here.
    handed_before_ =
        text_of(*own / "cgroup.subtree_control").find(controller_) != std::string::npos;
    (void)hand_down_controllers(*own, controllers_, {});
    if (text_of(group_ / "cgroup.controllers").find(controller_) == std::string::npos) {
      GTEST_SKIP() << "our own control group hands no controller down";
    }
  }
  void TearDown() override {
    for (const pid_t child : children_) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    if (!made_) return;
    EXPECT_TRUE(cgroup_destroy(group_, kDeadline));
    if (!handed_before_) {
      std::ofstream(group_.parent_path() / "cgroup.subtree_control") << "-" << controller_;
    }
  }
  /// A process in the group.
  pid_t populate() {
    const pid_t child = ::fork();
    if (child == 0) {
      while (true) ::pause();
    }
    children_.push_back(child);
    std::ofstream(group_ / "cgroup.procs") << child << std::flush;
    EXPECT_EQ(text_of(group_ / "cgroup.procs").find(std::to_string(child)) == std::string::npos,
              false);
    return child;
  }

  std::string controller_;
  const std::string_view controllers_[1] = {controller_view()};
  std::string_view controller_view() {
    static std::string first;
    if (const auto own = own_cgroup()) std::ifstream(*own / "cgroup.controllers") >> first;
    return first;
  }
  fs::path group_;
  bool made_ = false;
  bool handed_before_ = false;
  std::vector<pid_t> children_;
};

TEST_F(RealGroupTest, OurProcessesStepAsideAndComeBack) {
  const pid_t ours[] = {populate()};
  EXPECT_EQ(hand_down_controllers(group_, controllers_, ours), "");
  EXPECT_EQ(text_of(group_ / "cgroup.subtree_control"), controller_ + "\n");
  EXPECT_EQ(text_of(group_ / "cgroup.procs"), "");
  EXPECT_EQ(text_of(supervisor_group(group_) / "cgroup.procs"), std::to_string(ours[0]) + "\n");
  EXPECT_EQ(without_supervisor(supervisor_group(group_)), group_);
  EXPECT_EQ(without_supervisor(group_), group_);

  take_controllers_back(group_, controllers_, ours[0]);
  EXPECT_EQ(text_of(group_ / "cgroup.procs"), std::to_string(ours[0]) + "\n");
  EXPECT_EQ(text_of(group_ / "cgroup.subtree_control"), "");
  EXPECT_FALSE(fs::exists(supervisor_group(group_)));
}

TEST_F(RealGroupTest, ProcessesOfOthersStayWhereTheyAre) {
  const pid_t ours[] = {populate()};
  const pid_t other = populate();
  EXPECT_EQ(hand_down_controllers(group_, controllers_, ours),
            "other processes are in the control group " + group_.string());
  EXPECT_NE(text_of(group_ / "cgroup.procs").find(std::to_string(other)), std::string::npos);
  EXPECT_FALSE(fs::exists(supervisor_group(group_)));
}

// What the programs of the tests below do.

int allocate(const std::vector<std::string>& arguments) {
  const std::size_t size = std::stoul(arguments.at(0)) << 20;
  // The kernel is asked, not malloc, which a sanitizer may have its own ideas of.
  void* const memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? (errno == ENOMEM ? 12 : 13) : 0;
}

/// As many children as it may have; the exit code says how many.
int fork_bomb(const std::vector<std::string>& arguments) {
  const int most = std::stoi(arguments.at(0));
  int count = 0;
  for (; count < most; ++count) {
    const pid_t child = ::fork();
    if (child == -1) break;
    if (child == 0) {
      while (true) ::pause();
    }
  }
  return count;
}

int open_many(const std::vector<std::string>&) {
  int last = -1;
  while (true) {
    const int fd = ::open("/dev/null", O_RDONLY);
    if (fd == -1) return errno == EMFILE ? last + 1 : 250;
    last = fd;
    if (last > 200) return 251;
  }
}

int print_rights(const std::vector<std::string>&) {
  std::ifstream status("/proc/self/status");
  std::string text;
  for (std::string line; std::getline(status, line);) {
    for (const char* const name : {"Uid:", "Gid:", "Groups:", "NoNewPrivs:", "CapEff:", "Umask:"}) {
      if (line.starts_with(name)) text += line + "\n";
    }
  }
  const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
  return n == static_cast<ssize_t>(text.size()) ? 0 : 1;
}

const RegisterChild kChildren[] = {{"allocate", allocate},
                                   {"fork-bomb", fork_bomb},
                                   {"open-many", open_many},
                                   {"rights", print_rights}};

class LimitsTest : public ProcessTest {
 protected:
  /// Others cannot search the directory that the test program is in.
  SpawnRequest foreign(const std::string& name, const std::vector<std::string>& arguments = {}) {
    SpawnRequest request = child(name, arguments);
    if (!fs::exists(copy_)) {
      EXPECT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
      copy_ = directory_.path() / "program";
      fs::copy_file(own_executable(), copy_);
      EXPECT_EQ(::chmod(copy_.c_str(), 0755), 0);
    }
    request.executable = copy_;
    request.run_as = RunAs{.uid = kStranger, .gid = kStranger, .groups = {}};
    request.working_directory = "/";
    return request;
  }
  std::optional<int> exit_code(SpawnRequest request) {
    const auto status = run_child(std::move(request));
    return status ? status->code : std::nullopt;
  }

  TemporaryDirectory directory_;
  fs::path copy_;
};
INSTANTIATE_TEST_SUITE_P(Keeping, LimitsTest,
                         testing::Values(TreeKeeping::kBest, TreeKeeping::kSweepOnly),
                         keeping_name);

TEST_P(LimitsTest, AProgramGetsNoMoreMemory) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's program needs more than the limits leave";
  SpawnRequest request = child("allocate", {"512"});
  request.limits.memory = 256u << 20;
  const auto process = start(std::move(request));
  ASSERT_TRUE(process);
  ASSERT_EQ(process->limits().size(), 1u);
  const auto status = run(process->wait());
  ASSERT_TRUE(status);
  // What is asked for and never used counts for the process limit only.
  const bool group = process->limits()[0].holder == LimitHolder::kControlGroup;
  EXPECT_EQ(status->code, group ? 0 : 12) << err_;

  EXPECT_EQ(exit_code(child("allocate", {"512"})), 0) << "without a limit";
}

TEST_P(LimitsTest, AProgramOpensNoMoreFiles) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's program needs more than the limits leave";
  SpawnRequest request = child("open-many");
  request.limits.open_files = 40;
  EXPECT_EQ(exit_code(std::move(request)), 40);
  EXPECT_EQ(exit_code(child("open-many")), 251) << "without a limit";
}

TEST_P(LimitsTest, AnotherUsersForkBombIsHeld) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's program needs more than the limits leave";
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  // Of its own, since the kernel counts all that a user has; another run of this may have others.
  const std::uint32_t counted = 61'100 + static_cast<std::uint32_t>(::getpid()) % 4'000;
  SpawnRequest request = foreign("fork-bomb", {"100"});
  request.run_as->uid = counted;
  request.limits.processes = 12;
  auto process = start(std::move(request));
  ASSERT_TRUE(process);
  EXPECT_NE(process->limits().at(0).holder, LimitHolder::kNothing);
  const auto status = run(process->wait());
  ASSERT_TRUE(status);
  // Itself is the twelfth; one that has just ended elsewhere may count for a moment.
  EXPECT_LE(status->code, 11);
  EXPECT_GE(status->code, 5);
  process.reset();
  EXPECT_EQ(exit_code(foreign("fork-bomb", {"100"})), 100) << "without a limit";
}

TEST_P(LimitsTest, MoreFilesThanWeMayHaveOurselvesAreRefused) {
  rlimit ours;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &ours), 0);
  const rlimit probe{ours.rlim_cur, ours.rlim_max + 1};
  if (ours.rlim_max == RLIM_INFINITY || ::setrlimit(RLIMIT_NOFILE, &probe) == 0) {
    GTEST_SKIP() << "we may raise our own limit";
  }
  SpawnRequest request = child("exit", {"0"});
  request.limits.open_files = static_cast<std::uint32_t>(ours.rlim_max + 1);
  const auto refused = spawn(*trees_, std::move(request));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::kIsolationUnavailable);
  EXPECT_NE(refused.error().message.find("may be at most " + std::to_string(ours.rlim_max)),
            std::string::npos)
      << refused.error().message;
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_P(LimitsTest, ARequiredLimitThatNothingHoldsLeavesNothing) {
  SpawnRequest request = child("exit", {"0"});
  request.limits = {.processes = 10, .required = true};
  request.listen_socket = directory_.path() / "plugin.sock";
  const auto process = spawn(*trees_, std::move(request));
  if (process && (*process)->limits()[0].holder == LimitHolder::kControlGroup) {
    GTEST_SKIP() << "a control group holds it";
  }
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().reason, Reason::kIsolationUnavailable);
  EXPECT_TRUE(fs::is_empty(directory_.path()));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_P(LimitsTest, AProgramBecomesAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  SpawnRequest request = foreign("rights");
  request.run_as->groups = {61'030, 61'031};
  request.umask = 0027;
  request.no_new_privileges = true;
  EXPECT_EQ(exit_code(std::move(request)), 0) << err_;
  EXPECT_EQ(out_,
            "Umask:\t0027\n"
            "Uid:\t61020\t61020\t61020\t61020\n"
            "Gid:\t61020\t61020\t61020\t61020\n"
            "Groups:\t61030 61031 \n"
            "CapEff:\t0000000000000000\n"
            "NoNewPrivs:\t1\n");
  EXPECT_EQ(::geteuid(), 0u) << "we are who we were";
}

TEST_P(LimitsTest, ItGetsItsDirectory) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  // As the daemon has them: the directory above is ours alone.
  const fs::path users = directory_.path() / "users", own = users / "1";
  fs::create_directories(own);
  ASSERT_EQ(::chmod(users.c_str(), 0700), 0);
  ASSERT_EQ(::chmod(own.c_str(), 0700), 0);
  SpawnRequest request = foreign("listener");
  request.private_directory = own;
  request.working_directory = own;
  request.listen_socket = own / "plugin.sock";
  const auto process = start(std::move(request));
  ASSERT_TRUE(process);
  struct stat info;
  ASSERT_EQ(::stat(own.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, kStranger);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
  ASSERT_EQ(::stat(users.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0711u);
  EXPECT_EQ(info.st_uid, 0u);
}

TEST_P(LimitsTest, WhoIsNotRootIsToldThatOnlyRootMay) {
  if (::geteuid() != 0) GTEST_SKIP() << "root becomes another user for this";
  if (trees_->kept_by_kernel()) GTEST_SKIP() << "others may make no control groups here";
  ASSERT_EQ(::seteuid(kStranger), 0);
  SpawnRequest request = child("exit", {"0"});
  request.executable = "/bin/true";
  request.run_as = RunAs{.uid = 61'021, .gid = 61'021, .groups = {}};
  const auto refused = spawn(*trees_, std::move(request));
  SpawnRequest own = child("exit", {"0"});
  own.executable = "/bin/true";
  own.run_as = RunAs{.uid = kStranger, .gid = ::getegid(), .groups = {}};
  const auto allowed = spawn(*trees_, std::move(own));
  ASSERT_EQ(::seteuid(0), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::kIsolationUnavailable);
  EXPECT_EQ(
      refused.error().message,
      "cannot start /bin/true as uid 61021: Operation not permitted (EPERM); plugind runs as uid "
      "61020: run it as root, or remove `user` from the manifest");
  EXPECT_TRUE(allowed) << "its own user is no other user: " << allowed.error().message;
}

TEST_P(LimitsTest, AProgramThatItsUserCannotReachIsExplained) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  SpawnRequest request = foreign("exit", {"0"});
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0700), 0);
  const auto refused = spawn(*trees_, std::move(request));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, Reason::kExecutableUnusable);
  EXPECT_NE(refused.error().message.find("may not be executed as uid 61020"), std::string::npos)
      << refused.error().message;
}

TEST_P(LimitsTest, OurMemoryIsNotSharedWithAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  // The kernel closes a memory to others when one of its processes becomes another user.
  ASSERT_EQ(::prctl(PR_SET_DUMPABLE, 1), 0);
  EXPECT_EQ(exit_code(foreign("exit", {"0"})), 0);
  EXPECT_EQ(::prctl(PR_GET_DUMPABLE), 1);
}

TEST(IdentityTest, AProgramOfAnotherUserDiesWithItsParent) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
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
    const RunAs user{.uid = kStranger, .gid = kStranger, .groups = {}};
    auto process = launcher(io.get_executor(), ec, CloneLauncher::Path("/bin/sleep"),
                            std::vector<std::string>{"1000"}, Identity{&user});
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
  const bool died = program.ended();
  EXPECT_TRUE(died);
  if (!died) ::kill(pid, SIGKILL);
}

}  // namespace
}  // namespace plugind::platform
