// Plugins that change while they are called: drained, reloaded, upgraded, rolled back.
#include <gmock/gmock.h>
#include <signal.h>

#include <future>
#include <list>
#include <memory>
#include <string>

#include "tests/e2e/daemon_test.h"
#include "tests/e2e/open_call.h"

namespace plugind::e2e {
namespace {

using ::testing::HasSubstr;

class UpgradeTest : public DaemonTest {
 protected:
  testing::Run pluginctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PLUGINCTL, "--socket", directory_.socket().string()});
    return testing::run(std::move(arguments));
  }
  void echo(const std::string& version, const std::string& more = "") const {
    manifest("echo", {kTestPlugin},
             "version = '" + version + "'\nenv = { VERSION = '" + version +
                 "' }\nservices = ['echo.v1.Echo']\n" + more);
  }
  std::string version() const { return answer("echo", "!environment VERSION"); }
};

TEST_F(UpgradeTest, ThirtyTwoCallersSeeNothingOfTwentyUpgrades) {
  const int upgrades = kSanitized ? 5 : 20;
  echo("0");
  start();
  std::list<Bystander> callers;
  for (int i = 0; i < 32; ++i) callers.emplace_back(front());
  for (int i = 1; i <= upgrades; ++i) {
    const std::string next = std::to_string(i);
    echo(next, "upgrade.probation = '20ms'\n");
    const testing::Run run = pluginctl({"upgrade", "echo"});
    ASSERT_EQ(run.exit, Exit{.code = 0}) << run.err << daemon().log();
    EXPECT_EQ(run.out, "echo is ready\n");
    EXPECT_EQ(version(), next);
  }
  for (Bystander& caller : callers) EXPECT_EQ(caller.complaint(), "");
  EXPECT_TRUE(eventually([&] { return get_plugin("echo").instances_size() == 1; }));
  EXPECT_EQ(get_plugin("echo").failures(), 0u) << get_plugin("echo").last_failure();
}

TEST_F(UpgradeTest, CallersSeeNothingOfReloadsEither) {
  const int reloads = kSanitized ? 3 : 10;
  echo("0");
  start();
  std::list<Bystander> callers;
  for (int i = 0; i < 8; ++i) callers.emplace_back(front());
  for (int i = 1; i <= reloads; ++i) {
    echo(std::to_string(i));
    ASSERT_EQ(pluginctl({"reload"}).out, "changed echo\n");
    EXPECT_EQ(version(), std::to_string(i));
  }
  for (Bystander& caller : callers) EXPECT_EQ(caller.complaint(), "");
}

TEST_F(UpgradeTest, AnOpenCallEndsWhereItBegan) {
  echo("1", "stop.drain = '1h'\n");
  start();
  OpenCall open(front());
  ASSERT_EQ(open.echo("a"), "a");
  const std::int64_t before = get_plugin("echo").instances(0).pid();
  echo("2");
  ASSERT_EQ(pluginctl({"reload"}).out, "changed echo\n");
  EXPECT_EQ(version(), "2");
  EXPECT_EQ(open.echo("b"), "b");
  EXPECT_THAT(pluginctl({"status", "echo"}).out,
              HasSubstr("its manifest has changed; 1 call in flight"));
  EXPECT_TRUE(open.end().ok());
  EXPECT_TRUE(testing::eventually([&] { return !testing::alive(static_cast<pid_t>(before)); }));
}

TEST_F(UpgradeTest, AStopLetsCallsEndUpToABound) {
  echo("1", "stop.drain = '1h'\n");
  start();
  OpenCall open(front());
  ASSERT_EQ(open.echo("a"), "a");
  auto stopped = std::async(std::launch::async, [&] { return pluginctl({"stop", "echo"}).out; });
  ASSERT_TRUE(
      eventually([&] { return get_plugin("echo").state() == v1::INSTANCE_STATE_DRAINING; }));
  EXPECT_EQ(failure("echo").reason, "PLUGIN_STOPPED") << "no new calls";
  EXPECT_EQ(open.echo("b"), "b");
  EXPECT_TRUE(open.end().ok());
  EXPECT_EQ(stopped.get(), "echo is stopped\n");

  echo("2", "stop.drain = '50ms'\n");
  ASSERT_EQ(pluginctl({"reload"}).out, "changed echo\n");
  OpenCall longer(front());
  ASSERT_EQ(longer.echo("a"), "a");
  EXPECT_EQ(pluginctl({"stop", "echo"}).out, "echo is stopped\n");
  const Told told_of = told(longer.end());
  EXPECT_EQ(told_of.reason, "PLUGIN_STOPPED");
  EXPECT_THAT(told_of.message, HasSubstr("after stop.drain there was still 1 call in flight"));
}

TEST_F(UpgradeTest, TheDaemonsEndLetsCallsEndToo) {
  echo("1", "stop.drain = '1h'\n");
  start();
  OpenCall open(front());
  ASSERT_EQ(open.echo("a"), "a");
  daemon().process().signal(SIGTERM);
  ASSERT_TRUE(daemon().wait_log("state=draining"));
  EXPECT_EQ(open.echo("b"), "b");
  EXPECT_TRUE(open.end().ok());
  EXPECT_EQ(daemon().process().wait(), Exit{.code = 0}) << daemon().log();
}

TEST_F(UpgradeTest, AVersionThatDoesNotStartChangesNothing) {
  echo("1");
  start();
  ASSERT_EQ(version(), "1");
  const std::int64_t pid = get_plugin("echo").instances(0).pid();
  manifest("echo", {"/nowhere/echo"}, "services = ['echo.v1.Echo']\n");
  const testing::Run run = pluginctl({"upgrade", "echo"});
  EXPECT_EQ(run.exit, Exit{.code = 1});
  EXPECT_THAT(run.err, HasSubstr("what ran before goes on"));
  EXPECT_THAT(run.err, HasSubstr("/nowhere/echo"));
  EXPECT_EQ(version(), "1");
  EXPECT_EQ(get_plugin("echo").instances(0).pid(), pid);
}

TEST_F(UpgradeTest, AVersionThatCrashesOnProbationIsRolledBack) {
  echo("1");
  start();
  ASSERT_EQ(version(), "1");
  const std::int64_t pid = get_plugin("echo").instances(0).pid();
  echo("2", "upgrade.probation = '1h'\n");
  auto upgraded = std::async(std::launch::async, [&] { return pluginctl({"upgrade", "echo"}); });
  ASSERT_TRUE(eventually([&] { return get_plugin("echo").manifest().version() == "2"; }));
  EXPECT_EQ(version(), "2");
  EXPECT_EQ(pluginctl({"upgrade", "echo"}).exit, Exit{.code = 1}) << "one at a time";
  Bystander before(plugin_socket("echo"));
  EXPECT_EQ(before.complaint(), "");
  EXPECT_EQ(failure("echo", "!exit 3").reason, "PLUGIN_CRASHED");
  const testing::Run run = upgraded.get();
  EXPECT_EQ(run.exit, Exit{.code = 1});
  EXPECT_THAT(run.err, HasSubstr("rolled back"));
  EXPECT_THAT(run.err, HasSubstr("exit code 3"));
  EXPECT_EQ(version(), "1");
  EXPECT_EQ(get_plugin("echo").instances(0).pid(), pid) << "it was kept in reserve";
}

TEST_F(UpgradeTest, AHostKeepsItsInstanceAndTheNextOneGetsTheNewVersion) {
  const std::string scope = "scope = 'host'\nupgrade.probation = '20ms'\n";
  echo("1", scope);
  start();
  HostProcess old_host(directory_, "echo");
  EXPECT_EQ(old_host.call("!environment VERSION"), "1");
  echo("2", scope);
  ASSERT_EQ(pluginctl({"upgrade", "echo"}).exit, Exit{.code = 0});
  EXPECT_EQ(old_host.call("again !environment VERSION"), "1");
  HostProcess new_host(directory_, "echo");
  EXPECT_EQ(new_host.call("!environment VERSION"), "2");
  old_host.leave();
  EXPECT_TRUE(eventually([&] { return get_plugin("echo").instances_size() == 1; }));
  new_host.leave();
}

}  // namespace
}  // namespace plugind::e2e
