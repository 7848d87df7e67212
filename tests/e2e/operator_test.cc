// What an operator does with pluginctl, on a real daemon with a real plugin.
#include <algorithm>
#include <filesystem>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {
namespace {

class OperatorTest : public DaemonTest {
 protected:
  testing::Run pluginctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PLUGINCTL, "--socket", directory_.socket().string()});
    return testing::run(std::move(arguments));
  }
  std::unique_ptr<testing::ChildProcess> start_pluginctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PLUGINCTL, "--socket", directory_.socket().string()});
    return std::make_unique<testing::ChildProcess>(std::move(arguments));
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

auto lines(const std::string& text) { return std::ranges::count(text, '\n'); }

TEST_F(OperatorTest, StartsWatchesCallsAndStopsAPlugin) {
  manifest("echo", {kEchoCpp}, "services = ['echo.v1.Echo']\n");
  start();
  EXPECT_EQ(pluginctl({"start", "echo"}).out, "echo is ready\n");
  auto events = start_pluginctl({"events", "echo"});
  const std::int64_t pid = get_plugin("echo").instances(0).pid();
  EXPECT_TRUE(has(pluginctl({"status", "echo"}).out, std::to_string(pid)));
  EXPECT_EQ(
      pluginctl({"call", "echo", "echo.v1.Echo/Unary", "-d", "{\"payload\":\"aGk=\"}", "--json"})
          .out,
      "{\"payload\":\"aGk=\"}\n");

  // A watch begins some time after the program.
  EXPECT_TRUE(testing::eventually([&] {
    EXPECT_EQ(pluginctl({"restart", "echo"}).out, "echo is ready\n");
    return !events->out().empty();
  }));
  EXPECT_NE(get_plugin("echo").instances(0).pid(), pid);
  EXPECT_EQ(pluginctl({"stop", "echo"}).out, "echo is stopped\n");
  EXPECT_TRUE(testing::eventually([&] { return has(events->out(), "stopped by an operator"); }))
      << events->out();
  EXPECT_TRUE(has(pluginctl({"list", "--json"}).out, "INSTANCE_STATE_STOPPED"));
}

TEST_F(OperatorTest, ReloadsManifestsWhileALogIsFollowed) {
  manifest("echo", {kEchoCpp});
  start();
  EXPECT_EQ(pluginctl({"start", "echo"}).exit, Exit{.code = 0});
  auto log = start_pluginctl({"logs", "-f", "echo"});
  EXPECT_TRUE(testing::eventually([&] { return lines(log->out()) == 1; })) << log->err();

  // Registered anew: the log that is followed is the new one's.
  manifest("echo", {kEchoCpp}, "version = '2'\n");
  EXPECT_EQ(pluginctl({"reload"}).out, "changed echo\n");
  EXPECT_EQ(pluginctl({"start", "echo@2"}).exit, Exit{.code = 0});
  EXPECT_TRUE(testing::eventually([&] { return lines(log->out()) == 2; })) << log->out();

  directory_.write("manifests/echo.toml", "nonsense = 1\n");
  const testing::Run refused = pluginctl({"reload"});
  EXPECT_EQ(refused.exit, Exit{.code = 1});
  EXPECT_TRUE(has(refused.err, "MANIFEST_INVALID") && has(refused.err, "echo.toml:1:1"))
      << refused.err;
  EXPECT_TRUE(has(pluginctl({"list"}).out, "echo"));

  std::filesystem::remove(directory_.manifests() / "echo.toml");
  EXPECT_EQ(pluginctl({"reload"}).out, "removed echo\n");
  EXPECT_EQ(log->wait(), Exit{.code = 1});
  EXPECT_TRUE(has(log->err(), "PLUGIN_NOT_FOUND")) << log->err();
}

TEST_F(OperatorTest, WatchersAreToldThatTheDaemonStops) {
  manifest("echo", {kEchoCpp});
  start();
  auto events = start_pluginctl({"events"});
  auto log = start_pluginctl({"logs", "-f", "echo"});
  EXPECT_TRUE(testing::eventually([&] {
    EXPECT_EQ(pluginctl({"restart", "echo"}).exit, Exit{.code = 0});
    return !events->out().empty() && !log->out().empty();
  }));
  daemon().process().signal(SIGTERM);
  for (const auto& watcher : {events.get(), log.get()}) {
    EXPECT_EQ(watcher->wait(), Exit{.code = 1});
    EXPECT_TRUE(has(watcher->err(), "DAEMON_DRAINING")) << watcher->err();
  }
  EXPECT_EQ(daemon().process().wait(), Exit{.code = 0});
  expect_nothing_left();
  EXPECT_EQ(pluginctl({"list"}).exit, Exit{.code = 3});
}

}  // namespace
}  // namespace plugind::e2e
