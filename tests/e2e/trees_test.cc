// Nothing of a plugin is left: not when it is stopped, not when it crashes, not when the daemon or
// its guardian is killed.  With control groups, and without.
#include <gmock/gmock.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {
namespace {

namespace fs = std::filesystem;

enum class Keeping { kControlGroups, kSweeping };

class Trees : public DaemonTest, public ::testing::WithParamInterface<Keeping> {
 protected:
  void SetUp() override {
    if (GetParam() == Keeping::kSweeping && ::geteuid() == 0) be_nobody();
    const fs::path plugin = command_.size() > 1 ? bin() / "test-plugin" : fs::path(kTestPlugin);
    manifest("echo", {plugin, "--ignore-term"}, "stop.grace = '100ms'\n");
    manifest("kv", {plugin, "--ignore-term"},
             "dialect = 'go-plugin'\nenv = { E2E_COOKIE = 'right' }\n"
             "stop = { grace = '100ms', linger = '100ms' }\n");
    const fs::path misbehaving = command_.size() > 1 ? bin() / "misbehave" : fs::path(kMisbehave);
    manifest("bad", {misbehaving, "daughter"}, "start.timeout = '500ms'\n");
    start({}, command_);
    if (HasFatalFailure()) return;
    if (GetParam() == Keeping::kControlGroups && daemon().cgroup().empty()) {
      GTEST_SKIP() << "needs a control group v2 that this user may write to";
    }
    if (GetParam() == Keeping::kSweeping && !daemon().cgroup().empty()) {
      GTEST_SKIP() << "needs to be root, to start the daemon as a user without control groups";
    }
  }

  /// The pids of a plugin's instance, of its daughter, and of a daughter whose mother has ended;
  /// each in a session of its own and immune to SIGTERM.
  std::vector<pid_t> family(const std::string& plugin) {
    return {std::stoi(answer(plugin, "!pid")), std::stoi(answer(plugin, "!daughter")),
            std::stoi(answer(plugin, "!orphan"))};
  }
  static bool gone(const std::vector<pid_t>& pids) {
    return std::ranges::none_of(pids, testing::alive);
  }
  void stop_plugin(const std::string& name) {
    Context context;
    v1::StopPluginRequest request;
    request.set_name(name);
    v1::StopPluginResponse response;
    const grpc::Status status = control()->StopPlugin(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.plugin().instances_size(), 0);
  }

  std::vector<std::string> command_{kPlugind};

 private:
  fs::path bin() const { return directory_.path() / "bin"; }

  void be_nobody() {
    const passwd* nobody = ::getpwnam("nobody");
    ASSERT_NE(nobody, nullptr);
    const std::string uid = std::to_string(nobody->pw_uid), gid = std::to_string(nobody->pw_gid);
    // The build may be where nobody else may look.
    fs::create_directory(bin());
    fs::copy_file(kPlugind, bin() / "plugind");
    fs::copy_file(kTestPlugin, bin() / "test-plugin");
    fs::copy_file(kMisbehave, bin() / "misbehave");
    ASSERT_EQ(::chown(directory_.path().c_str(), nobody->pw_uid, nobody->pw_gid), 0);
    command_ = {"setpriv", "--reuid=" + uid, "--regid=" + gid, "--clear-groups", bin() / "plugind"};
  }
};

TEST_P(Trees, AreGoneWhenAPluginHasBeenStopped) {
  for (const char* plugin : {"echo", "kv"}) {
    const auto pids = family(plugin);
    for (const pid_t pid : pids) EXPECT_FALSE(gone({pid}));
    stop_plugin(plugin);
    EXPECT_TRUE(gone(pids)) << plugin << ": " << testing::describe(directory_.processes());
  }
}

TEST_P(Trees, AreGoneWhenAPluginHasCrashed) {
  const auto pids = family("echo");
  EXPECT_EQ(failure("echo", "!signal 9").reason, "PLUGIN_CRASHED");
  // Another one starts only when nothing of this is left.
  EXPECT_EQ(answer("echo", "hello"), "hello");
  EXPECT_TRUE(gone(pids));
}

TEST_P(Trees, AreGoneWhenTheHostHasGone) {
  HostProcess host(directory_, "kv");
  const std::vector<pid_t> pids{std::stoi(host.call("!pid")), std::stoi(host.call("!daughter")),
                                std::stoi(host.call("!orphan"))};
  host.leave();
  EXPECT_TRUE(eventually([&] { return gone(pids); }));
}

TEST_P(Trees, AreGoneWhenAPluginCannotStart) {
  EXPECT_EQ(failure("bad").reason, "START_TIMEOUT");
  EXPECT_EQ(directory_.processes().size(), 2U) << testing::describe(directory_.processes());
}

TEST_P(Trees, AreGoneWhenTheDaemonHasBeenStopped) {
  const auto of_echo = family("echo");
  const auto of_kv = family("kv");
  stop();
  EXPECT_TRUE(gone(of_echo));
  EXPECT_TRUE(gone(of_kv));
}

TEST_P(Trees, AreGoneWhenTheDaemonHasBeenKilled) {
  const auto of_echo = family("echo");
  const auto of_kv = family("kv");
  ::kill(daemon().pid(), SIGKILL);
  EXPECT_EQ(daemon().process().wait(), Exit{.signal = SIGKILL});
  // The guardian ends when all is done.
  EXPECT_TRUE(gone(of_echo));
  EXPECT_TRUE(gone(of_kv));
  EXPECT_EQ(testing::describe(directory_.processes()), "");
  EXPECT_EQ(testing::describe(testing::children_of(::getpid())), "");
  EXPECT_FALSE(!cgroup_.empty() && fs::exists(cgroup_)) << cgroup_;

  start({}, command_);
  EXPECT_EQ(answer("echo", "hello"), "hello");
  EXPECT_EQ(answer("kv", "hello"), "hello");
  stop();
}

TEST_P(Trees, AreGoneWhenTheGuardianHasBeenKilled) {
  const auto of_echo = family("echo");
  const auto of_kv = family("kv");
  const pid_t served = daemon().pid();
  ::kill(daemon().guardian(), SIGKILL);
  EXPECT_EQ(daemon().process().wait(), Exit{.signal = SIGKILL});
  // The daemon is the child of this process now.
  EXPECT_TRUE(eventually([&] { return !testing::alive(served); }));
  EXPECT_EQ(::waitpid(served, nullptr, 0), served);
  EXPECT_TRUE(gone(of_echo));
  EXPECT_TRUE(gone(of_kv));
  expect_nothing_left();
}

TEST_P(Trees, AreGoneWhenBothHaveBeenKilled) {
  const auto of_echo = family("echo");
  const auto of_kv = family("kv");
  const pid_t served = daemon().pid();
  ::kill(daemon().guardian(), SIGSTOP);
  ::kill(served, SIGKILL);
  ::kill(daemon().guardian(), SIGKILL);
  EXPECT_EQ(daemon().process().wait(), Exit{.signal = SIGKILL});
  // Nobody is left to clean up but the kernel, which ends the first processes of the trees.
  EXPECT_TRUE(eventually([&] { return gone({served, of_echo[0], of_kv[0]}); }));

  start({}, command_);
  if (GetParam() == Keeping::kControlGroups) {
    // What is left stands in a control group, where the next daemon finds it.
    EXPECT_TRUE(eventually([&] { return gone(of_echo) && gone(of_kv); }));
  }
  for (const auto& pids : {of_echo, of_kv}) {
    for (const pid_t pid : pids) ::kill(pid, SIGKILL);
  }
  EXPECT_TRUE(eventually([&] { return gone(of_echo) && gone(of_kv); }));
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  EXPECT_EQ(answer("echo", "hello"), "hello");
  stop();
}

INSTANTIATE_TEST_SUITE_P(Kept, Trees,
                         ::testing::Values(Keeping::kControlGroups, Keeping::kSweeping),
                         [](const auto& info) {
                           return info.param == Keeping::kControlGroups ? "InControlGroups"
                                                                        : "BySweeping";
                         });

}  // namespace
}  // namespace plugind::e2e
