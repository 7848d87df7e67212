// Processes that stand still, stops in several steps, and a daemon that is killed at every point of
// a plugin's life.
#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>

#include "tests/fault/ledger.h"

namespace plugind::e2e {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Not;
using ::testing::StartsWith;

class StandStill : public FaultTest {
 protected:
  /// A call that gives up soon.
  grpc::Status short_call(const std::shared_ptr<grpc::Channel>& channel) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    context.AddMetadata("plugind-plugin", "echo");
    EchoMessage request;
    EchoMessage reply;
    return Echo::NewStub(channel)->Unary(&context, request, &reply);
  }
  /// Until all of its threads stand still: the signal alone does not wait for them.
  void halt(std::int64_t pid) {
    ::kill(static_cast<pid_t>(pid), SIGSTOP);
    EXPECT_TRUE(eventually([&] {
      for (const auto& thread :
           std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
        std::string text;
        std::getline(std::ifstream(thread.path() / "stat"), text);
        if (!text.substr(text.rfind(')')).starts_with(") T")) return false;
      }
      return true;
    })) << "process "
        << pid << " runs on";
  }
  testing::Run pluginctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PLUGINCTL, "--socket", directory_.socket().string()});
    return testing::run(std::move(arguments));
  }
};

TEST_F(StandStill, APluginThatDoesServesAgainWhenItGoesOn) {
  usual_manifests();
  start();
  ASSERT_EQ(answer("echo", "hello"), "hello");
  ASSERT_EQ(answer("kv", "hello"), "hello");
  take_stock();
  const std::string pid = answer("echo", "!pid");
  halt(std::stoi(pid));
  EXPECT_EQ(short_call(front()).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(answer("kv", "hello"), "hello") << "others are not disturbed";
  ::kill(std::stoi(pid), SIGCONT);
  EXPECT_EQ(answer("echo", "!pid"), pid);
}

TEST_F(StandStill, APluginThatDoesIsKilledWhereItsHealthIsLookedAfter) {
  manifest("echo", {kTestPlugin},
           "health.interval = '200ms'\nhealth.timeout = '500ms'\nhealth.failures = 2\n");
  manifest("other", {kTestPlugin});
  start();
  const std::string pid = answer("echo", "!pid");
  ASSERT_EQ(answer("other", "hello"), "hello");
  take_stock();
  Ledger others(
      directory_.path() / "executed", 2, [this] { return front(); }, "other");
  halt(std::stoi(pid));
  const grpc::Status lost = call(front(), "hello", nullptr, "echo");
  EXPECT_EQ(lost.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(lost.error_message(), HasSubstr("failed 2 health checks in a row and was killed"));
  EXPECT_NE(answer("echo", "!pid"), pid);
  EXPECT_FALSE(testing::alive(std::stoi(pid)));
  others.end();
  EXPECT_THAT(others.outcomes(), ElementsAre(Key("OK")));
  EXPECT_EQ(others.differences(), "");
}

TEST_F(StandStill, APluginThatDoesCanBeStopped) {
  manifest("echo", {kTestPlugin}, "stop.grace = '100ms'\n");
  start();
  const std::string pid = answer("echo", "!pid");
  take_stock();
  halt(std::stoi(pid));
  EXPECT_EQ(pluginctl({"stop", "echo"}).out, "echo is stopped\n");
}

TEST_F(StandStill, ADaemonThatDoesLosesNoCallAndNoPlugin) {
  usual_manifests();
  start();
  ASSERT_EQ(answer("echo", "hello"), "hello");
  ASSERT_EQ(answer("kv", "hello"), "hello");
  take_stock();
  const std::string pid = answer("echo", "!pid");
  const auto channel = front();
  ASSERT_EQ(call(channel, "hello", nullptr, "echo").error_message(), "");
  Ledger callers(
      directory_.path() / "executed", 2, [this] { return front(); }, "echo");
  halt(daemon().pid());
  EXPECT_EQ(short_call(channel).error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  auto waiting = std::async(std::launch::async, [&] {
    std::string reply;
    const grpc::Status status = call(channel, "!pid", &reply, "echo");
    return status.ok() ? reply : status.error_message();
  });
  ::kill(daemon().pid(), SIGCONT);
  EXPECT_EQ(waiting.get(), pid);
  EXPECT_TRUE(callers.wait_answers(10));
  callers.end();
  EXPECT_THAT(callers.outcomes(), ElementsAre(Key("OK")));
  EXPECT_EQ(callers.differences(), "");
}

class StopInSteps : public StandStill {
 protected:
  /// Of a plugin, by an operator; returns why it is stopped.
  std::string stopped(const std::string& plugin) {
    EXPECT_EQ(pluginctl({"stop", plugin}).out, plugin + " is stopped\n");
    return get_plugin(plugin).cause();
  }
  std::string log_of(const std::string& plugin) const { return pluginctl({"logs", plugin}).out; }
};

TEST_F(StopInSteps, OneThatDoesNotEndAPluginIsFollowedByTheNextForItsWholeTree) {
  manifest("echo", {kTestPlugin, "--ignore-term"},
           "[stop]\n"
           "steps = [{ action = 'SIGTERM', timeout = '1s' },\n"
           "         { action = 'SIGINT', timeout = '20s' }]\n");
  start();
  const pid_t plugin = std::stoi(answer("echo", "!pid"));
  take_stock();
  // In a session of its own, it ignores SIGTERM as the plugin does.
  const pid_t daughter = std::stoi(answer("echo", "!daughter"));
  EXPECT_EQ(stopped("echo"), "stopped by an operator; step 2 of stop.steps (SIGINT) ended it");
  EXPECT_FALSE(testing::alive(plugin));
  EXPECT_FALSE(testing::alive(daughter));
  EXPECT_THAT(log_of("echo"), HasSubstr("got SIGTERM"));
}

TEST_F(StopInSteps, APluginThatOutlivesAllIsKilled) {
  manifest("echo", {kTestPlugin, "--ignore-term"},
           "[[stop.steps]]\naction = 'SIGTERM'\ntimeout = '50ms'\n");
  start();
  const pid_t plugin = std::stoi(answer("echo", "!pid"));
  take_stock();
  EXPECT_EQ(stopped("echo"), "stopped by an operator; it outlived stop.steps and was killed");
  EXPECT_FALSE(testing::alive(plugin));
}

TEST_F(StopInSteps, ADialectsOwnRequestIsOne) {
  manifest("kv", {kTestPlugin},
           "dialect = 'go-plugin'\nenv = { E2E_COOKIE = 'right' }\n"
           "[stop]\n"
           "steps = [{ action = 'SIGINT', timeout = '20s' }]\n");
  manifest(
      "asked", {kTestPlugin},
      "dialect = 'go-plugin'\nenv = { E2E_COOKIE = 'right' }\n"
      "[stop]\n"
      "steps = [{ action = 'ask', timeout = '20s' }, { action = 'SIGINT', timeout = '20s' }]\n");
  start();
  ASSERT_EQ(answer("kv", "hello"), "hello");
  ASSERT_EQ(answer("asked", "hello"), "hello");
  take_stock();
  EXPECT_EQ(stopped("asked"), "stopped by an operator; step 1 of stop.steps (ask) ended it");
  EXPECT_THAT(log_of("asked"), HasSubstr("asked to shut down"));
  EXPECT_EQ(stopped("kv"), "stopped by an operator; step 1 of stop.steps (SIGINT) ended it");
  EXPECT_THAT(log_of("kv"), ::testing::Not(HasSubstr("asked to shut down")));
}

/// How a plugin gets to where the daemon is killed.
struct Point {
  const char* name;
  const char* manifest;
  void (*reach)(class KilledDaemon& test);
  bool never_ready = false;  // Its process lives and says nothing.
};

class KilledDaemon : public FaultTest, public ::testing::WithParamInterface<Point> {
 public:
  // What a point needs.
  std::string answered(const std::string& payload) const { return answer("echo", payload); }
  void begin(const std::string& command) {
    command_ = std::make_unique<testing::ChildProcess>(std::vector<std::string>{
        PLUGINCTL, "--socket", directory_.socket().string(), command, "echo"});
  }
  void call_without_end() {
    const auto channel = front();
    context_ = std::make_unique<Context>();
    stub_ = Echo::NewStub(channel);
    stream_ = stub_->BidiStream(context_.get());
    EchoMessage message;
    ASSERT_TRUE(stream_->Write(message) && stream_->Read(&message));
  }
  void write_manifest(const std::string& more, bool never_ready = false) const {
    const std::vector<std::string> right{kTestPlugin, "--ignore-term"},
        silent{kMisbehave, "silent"};
    manifest("echo", never_ready ? silent : right, "services = ['echo.v1.Echo']\n" + more);
  }
  /// Until so many processes of the plugins run.
  void wait_processes(std::size_t count) const {
    constexpr std::size_t kDaemonAndGuardian = 2;
    EXPECT_TRUE(eventually([&] {
      return directory_.processes().size() == kDaemonAndGuardian + count;
    })) << testing::describe(directory_.processes());
  }
  /// Of the instance that is ready and has another pid than `last`.
  std::int64_t next_pid(std::int64_t last) {
    std::int64_t pid = 0;
    EXPECT_TRUE(eventually([&] {
      const v1::Plugin plugin = get_plugin("echo");
      for (const v1::Instance& instance : plugin.instances()) {
        const bool ready = instance.state() == v1::INSTANCE_STATE_READY;
        if (ready && instance.pid() != last) pid = instance.pid();
      }
      return pid != 0;
    }));
    return pid;
  }
  void wait_state(v1::InstanceState state) {
    EXPECT_TRUE(eventually([&] {
      const v1::Plugin plugin = get_plugin("echo");
      if (plugin.state() == state) return true;
      return std::ranges::any_of(plugin.instances(), [&](const v1::Instance& instance) {
        return instance.state() == state;
      });
    })) << get_plugin("echo").DebugString();
  }

 protected:
  std::unique_ptr<testing::ChildProcess> command_;
  std::unique_ptr<Context> context_;
  std::unique_ptr<Echo::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<EchoMessage, EchoMessage>> stream_;
};

TEST_P(KilledDaemon, LeavesNothingAndTheNextOneServes) {
  // What there is of one that serves and is the first.
  manifest("other", {kTestPlugin});
  write_manifest("stop.grace = '50ms'\n");
  start();
  ASSERT_EQ(answer("echo", "hello"), "hello");
  ASSERT_EQ(answer("other", "hello"), "hello");
  take_stock();
  stop();

  write_manifest(GetParam().manifest, GetParam().never_ready);
  start();
  Ledger ledger(
      directory_.path() / "executed", 2, [this] { return front(); }, "other");
  GetParam().reach(*this);
  ::kill(daemon().pid(), SIGKILL);
  EXPECT_EQ(daemon().process().wait(), Exit{.signal = SIGKILL});
  EXPECT_EQ(testing::describe(directory_.processes()), "");
  if (command_) command_->wait();
  if (stream_) {
    EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
    stream_.reset();
  }
  EXPECT_EQ(testing::describe(testing::children_of(::getpid())), "");
  EXPECT_FALSE(!cgroup_.empty() && std::filesystem::exists(cgroup_)) << cgroup_;

  write_manifest("stop.grace = '50ms'\n");
  start();
  EXPECT_EQ(answer("echo", "hello"), "hello");
  // Its callers live through it: they lose what the daemon had in its hands, and go on.
  EXPECT_TRUE(ledger.wait_answers(10));
  ledger.end();
  EXPECT_THAT(ledger.outcomes(),
              Each(Key(AnyOf("OK", AllOf(StartsWith("status 14 "), Not(HasSubstr("PLUGIN_")))))));
  EXPECT_EQ(ledger.differences(), "");
}

INSTANTIATE_TEST_SUITE_P(
    At, KilledDaemon,
    ::testing::Values(
        Point{"Starting",
              "requires = [{ command = ['sleep', '1000'], timeout = '10m', hint = 'x' }]\n",
              [](KilledDaemon& test) {
                test.begin("start");
                test.wait_state(v1::INSTANCE_STATE_STARTING);
              }},
        Point{"StartingWithAProcess", "start.timeout = '10m'\n",
              [](KilledDaemon& test) {
                test.begin("start");
                test.wait_state(v1::INSTANCE_STATE_STARTING);
                test.wait_processes(2);
              },
              true},
        Point{"ReadyWithACall", "", [](KilledDaemon& test) { test.call_without_end(); }},
        Point{"Draining", "stop.drain = '1h'\n",
              [](KilledDaemon& test) {
                test.call_without_end();
                test.begin("stop");
                test.wait_state(v1::INSTANCE_STATE_DRAINING);
              }},
        Point{"Stopping", "stop.grace = '1h'\n",
              [](KilledDaemon& test) {
                EXPECT_EQ(test.answered("hello"), "hello");
                test.begin("stop");
                test.wait_state(v1::INSTANCE_STATE_STOPPING);
              }},
        Point{"Backoff",
              "restart.backoff = '1h'\nrestart.backoff_max = '1h'\nrestart.window = '24h'\n",
              [](KilledDaemon& test) {
                EXPECT_EQ(test.answered("hello"), "hello");
                const std::int64_t first = test.next_pid(0);
                ::kill(static_cast<pid_t>(first), SIGKILL);
                ::kill(static_cast<pid_t>(test.next_pid(first)), SIGKILL);
                test.wait_state(v1::INSTANCE_STATE_BACKOFF);
              }},
        Point{"Failed", "restart.limit = 1\nrestart.window = '24h'\n",
              [](KilledDaemon& test) {
                EXPECT_EQ(test.answered("hello"), "hello");
                ::kill(static_cast<pid_t>(test.next_pid(0)), SIGKILL);
                test.wait_state(v1::INSTANCE_STATE_FAILED);
                test.wait_processes(1);
              }},
        Point{"Stopped", "stop.grace = '50ms'\n",
              [](KilledDaemon& test) {
                EXPECT_EQ(test.answered("hello"), "hello");
                test.begin("stop");
                test.wait_state(v1::INSTANCE_STATE_STOPPED);
                test.wait_processes(1);
              }},
        Point{"OnProbation", "upgrade.probation = '1h'\n",
              [](KilledDaemon& test) {
                EXPECT_EQ(test.answered("hello"), "hello");
                test.write_manifest("version = '2'\nupgrade.probation = '1h'\n");
                test.begin("upgrade");
                test.wait_state(v1::INSTANCE_STATE_DRAINING);
              }}),
    [](const auto& point) { return std::string(point.param.name); });

}  // namespace
}  // namespace plugind::e2e
