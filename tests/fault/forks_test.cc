// Processes that a plugin makes: a fork bomb, and some that hide from it and from the daemon.
#include <gmock/gmock.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "tests/e2e/other_user.h"
#include "tests/fault/fault_test.h"

namespace plugind::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::Key;

class Forks : public FaultTest {
 protected:
  void pluginctl(const std::string& command, const std::string& plugin) const {
    const testing::Run run =
        testing::run({PLUGINCTL, "--socket", directory_.socket(), command, plugin});
    EXPECT_EQ(run.exit, Exit{.code = 0}) << run.err;
  }
  v1::HeldLimit limit_of_processes(const std::string& plugin) const {
    const v1::Plugin status = get_plugin(plugin);
    for (const v1::HeldLimit& limit : status.instances(0).limits()) {
      if (limit.name() == "processes") return limit;
    }
    return {};
  }
};

TEST_F(Forks, ABombIsHeldByTheLimitAndEndsWithItsPlugin) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's program needs more than the limit leaves";
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  constexpr int kLimit = 60, kMost = 150;
  // The kernel counts all that a user has, another run of this test included.
  const std::string user = std::to_string(61'100 + ::getpid() % 4'000);
  manifest("bomb", {open_copy(directory_, kTestPlugin)},
           "user = " + user + "\ngroup = 61041\n" + home_line(directory_) +
               "limits.processes = " + std::to_string(kLimit) + "\nstop.grace = '100ms'\n");
  manifest("echo", {kTestPlugin});
  start();
  ASSERT_EQ(answer("bomb", "hello"), "hello");
  ASSERT_EQ(answer("echo", "hello"), "hello");
  const v1::HeldLimit limit = limit_of_processes("bomb");
  if (limit.holder() != v1::LIMIT_HOLDER_CONTROL_GROUP &&
      limit.holder() != v1::LIMIT_HOLDER_PROCESS_LIMIT) {
    GTEST_SKIP() << "nothing holds the limit here: " << limit.DebugString();
  }
  take_stock();
  const std::size_t before = directory_.processes().size();
  Callers others(
      2, [this] { return front(); }, "echo");

  for (int bomb = 0; bomb < 2; ++bomb) {
    const int made = std::stoi(answer("bomb", "!bomb " + std::to_string(kMost)));
    EXPECT_GT(made, 10);
    EXPECT_LT(made, kLimit) << "threads count, too";
    const std::size_t now = directory_.processes().size();
    EXPECT_GT(now, before + 10);
    EXPECT_LT(now, before + kLimit);
    if (bomb == 0) {
      pluginctl("stop", "bomb");
      EXPECT_EQ(directory_.processes().size(), before - 1);
      pluginctl("start", "bomb");
    } else {
      ::kill(static_cast<pid_t>(pid_of("bomb")), SIGKILL);
      EXPECT_TRUE(eventually([this] { return get_plugin("bomb").failures() == 1; }));
    }
    EXPECT_EQ(answer("bomb", "again"), "again");
    EXPECT_EQ(directory_.processes().size(), before);
  }
  EXPECT_THAT(others.end(), ElementsAre(Key("OK"))) << "of another plugin";
}

TEST_F(Forks, OrphansInSessionsOfTheirOwnEndWithTheirPlugin) {
  manifest("mother", {kTestPlugin, "--ignore-term"}, "stop.grace = '100ms'\n");
  manifest("echo", {kTestPlugin});
  start();
  ASSERT_EQ(answer("mother", "hello"), "hello");
  ASSERT_EQ(answer("echo", "hello"), "hello");
  take_stock();
  Callers others(
      2, [this] { return front(); }, "echo");
  for (const bool crash : {false, true}) {
    const pid_t orphan = std::stoi(answer("mother", "!orphan"));
    ASSERT_TRUE(testing::alive(orphan));
    if (crash) {
      EXPECT_EQ(failure("mother", "!signal 9").reason, "PLUGIN_CRASHED");
    } else {
      pluginctl("restart", "mother");
    }
    // Another one starts only when nothing of this is left.
    EXPECT_EQ(answer("mother", "again"), "again");
    EXPECT_FALSE(testing::alive(orphan)) << (crash ? "after a crash" : "after a stop");
  }
  EXPECT_THAT(others.end(), ElementsAre(Key("OK"))) << "of another plugin";
}

}  // namespace
}  // namespace plugind::e2e
