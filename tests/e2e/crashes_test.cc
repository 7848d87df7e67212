// Plugins that end, or hang up, while they are used.
#include <gmock/gmock.h>

#include <array>
#include <atomic>
#include <csignal>
#include <deque>
#include <thread>

#include "tests/e2e/daemon_test.h"
#include "tests/e2e/open_call.h"

namespace plugind::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Crashes : public DaemonTest {};

testing::Run pluginctl(const testing::DaemonDirectory& directory,
                       const std::vector<std::string>& arguments) {
  std::vector<std::string> command{PLUGINCTL, "--socket", directory.socket().string()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return testing::run(std::move(command));
}

/// What `pluginctl crashes` prints.
std::string crashes(const testing::DaemonDirectory& directory, const std::string& plugin) {
  const testing::Run run = pluginctl(directory, {"crashes", plugin});
  EXPECT_EQ(run.exit, Exit{.code = 0}) << run.err;
  return run.out;
}

struct End {
  const char* command;
  const char* detail;
  const char* value;
  const char* words;
};

class HowPluginsEnd : public Crashes, public ::testing::WithParamInterface<End> {};

TEST_P(HowPluginsEnd, IsToldAndDisturbsNobodyElse) {
  usual_manifests();
  manifest("other", {kTestPlugin});
  start();
  for (const char* plugin : {"echo", "kv"}) {
    HostProcess host(directory_, "kv");
    const std::string of_host = host.call("!pid");
    Bystander bystander(plugin_socket("other"));
    const std::string pid = answer(plugin, "!pid");

    const Told crash = failure(plugin, GetParam().command);
    EXPECT_EQ(crash.code, grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(crash.reason, "PLUGIN_CRASHED");
    EXPECT_EQ(crash.metadata.at("plugin"), plugin);
    EXPECT_EQ(crash.metadata.at(GetParam().detail), GetParam().value);
    EXPECT_THAT(crash.message,
                AllOf(HasSubstr("plugin '" + std::string(plugin) + "' (pid " + pid + ")"),
                      HasSubstr(GetParam().words), HasSubstr("; its last stderr:\nlast words")));

    EXPECT_EQ(answer(plugin, "again"), "again");
    EXPECT_NE(answer(plugin, "!pid"), pid);
    EXPECT_EQ(host.call("!pid"), of_host);
    EXPECT_EQ(bystander.complaint(), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Ends, HowPluginsEnd,
                         ::testing::Values(End{"!signal 11", "signal", "11", "SIGSEGV"},
                                           End{"!signal 9", "signal", "9", "SIGKILL"},
                                           End{"!exit 3", "exit_code", "3", "exit code 3"},
                                           End{"!exit 0", "exit_code", "0", "exit code 0"}));

TEST_F(Crashes, EndEveryCallInFlight) {
  usual_manifests();
  start();
  ASSERT_EQ(answer("echo", "warm"), "warm");
  std::vector<Told> all(5);
  {
    std::vector<std::jthread> callers;
    for (Told& one : all) callers.emplace_back([&] { one = failure("echo", "!wait"); });
    ASSERT_TRUE(eventually([&] { return get_plugin("echo").instances(0).calls_in_flight() == 5; }));
    EXPECT_EQ(failure("echo", "!signal 6").reason, "PLUGIN_CRASHED");
  }
  for (const Told& one : all) {
    EXPECT_EQ(one.reason, "PLUGIN_CRASHED") << one.message;
    EXPECT_EQ(one.metadata.at("signal"), "6");
  }
}

TEST_F(Crashes, AreReportedWithTheCallsThatTheyTookWithThem) {
  usual_manifests();
  start();
  for (const char* plugin : {"echo", "kv"}) {
    EXPECT_EQ(crashes(directory_, plugin), plugin + std::string(" has no crash reports\n"));
    const std::string pid = answer(plugin, "!pid");
    ASSERT_EQ(answer(plugin, "!allocate 64"), "given");
    {
      std::vector<std::jthread> callers;
      for (int i = 0; i < 3; ++i) callers.emplace_back([&] { failure(plugin, "!wait"); });
      ASSERT_TRUE(
          eventually([&] { return get_plugin(plugin).instances(0).calls_in_flight() == 3; }));
      const Told crash = failure(plugin, "!signal 11");
      EXPECT_THAT(crash.message, HasSubstr("see `pluginctl crashes " + std::string(plugin) + "`"));
      EXPECT_EQ(crash.metadata.at("instance"), plugin + std::string("#1"));
    }
    const std::string report = crashes(directory_, plugin);
    EXPECT_THAT(report,
                AllOf(HasSubstr(plugin + std::string("#1, ")), HasSubstr("PLUGIN_CRASHED\n"),
                      HasSubstr("(pid " + pid + ")"), HasSubstr("signal 11 (SIGSEGV)"),
                      HasSubstr("  calls:    4 in flight\n"), HasSubstr("    last words\n")));
    const std::string line = "    /echo.v1.Echo/Unary  " + std::to_string(::getpid());
    std::size_t found = 0;
    for (std::size_t at = 0; (at = report.find(line, at)) != report.npos; ++at) ++found;
    EXPECT_EQ(found, 4U) << report;

    Context context;
    v1::ListCrashesRequest request;
    request.set_name(plugin);
    v1::ListCrashesResponse response;
    ASSERT_TRUE(control()->ListCrashes(&context, request, &response).ok());
    ASSERT_EQ(response.crashes_size(), 1);
    EXPECT_GE(response.crashes(0).use().peak_memory(), 64U << 20);
    const auto& ready_for = response.crashes(0).ready_for();
    EXPECT_GT(ready_for.seconds() + ready_for.nanos(), 0);
    EXPECT_EQ(get_plugin(plugin).crashes(), 1U);
  }
}

TEST_F(Crashes, OfStartsAreReportedToo) {
  manifest("bad", {kMisbehave, "exit", "4"});
  manifest("missing", {"/nowhere/plugin"});
  start();
  EXPECT_EQ(failure("bad").reason, "START_EXITED");
  EXPECT_THAT(crashes(directory_, "bad"),
              AllOf(HasSubstr("START_EXITED\n"), HasSubstr(", never ready\n"),
                    HasSubstr(", exit code 4\n"), HasSubstr(" of memory\n")));
  EXPECT_EQ(failure("missing").reason, "EXECUTABLE_MISSING");
  EXPECT_THAT(crashes(directory_, "missing"),
              AllOf(HasSubstr("EXECUTABLE_MISSING\n"), HasSubstr("  process:  there was none\n")));
}

TEST_F(Crashes, AreNothingToCallsThatComeAfterThem) {
  manifest("fragile", {kTestPlugin}, "restart = { limit = 0, backoff = '1ms' }\n");
  start();
  const auto channel = front();
  std::atomic<bool> done{false};
  std::array<std::string, 4> wrong;
  std::atomic<int> fine{0};
  {
    std::vector<std::jthread> callers;
    for (std::string& complaint : wrong) {
      callers.emplace_back([&] {
        while (!done && complaint.empty()) {
          const Told one = told(call(channel, "hello", nullptr, "fragile"));
          if (one.code == grpc::StatusCode::OK) ++fine;
          // In flight at the time of the crash; anything else would be somebody else's trouble.
          if (one.code != grpc::StatusCode::OK && one.reason != "PLUGIN_CRASHED") {
            complaint = one.reason + ": " + one.message;
          }
        }
      });
    }
    for (int i = 0; i < 5; ++i) {
      const int before = fine;
      EXPECT_TRUE(eventually([&] { return fine > before + 20; }));
      EXPECT_EQ(failure("fragile", "!signal 9").reason, "PLUGIN_CRASHED");
    }
    done = true;
  }
  EXPECT_THAT(wrong, ::testing::Each(""));
}

TEST_F(Crashes, EndStreamsToo) {
  usual_manifests();
  start();
  Context context;
  context.AddMetadata("plugind-plugin", "kv");
  const auto stream = Echo::NewStub(front())->BidiStream(&context);
  EchoMessage message;
  message.set_payload("hello");
  ASSERT_TRUE(stream->Write(message));
  ASSERT_TRUE(stream->Read(&message));
  ::kill(static_cast<pid_t>(get_plugin("kv").instances(0).pid()), SIGKILL);
  EXPECT_FALSE(stream->Read(&message));
  const Told crash = told(stream->Finish());
  EXPECT_EQ(crash.reason, "PLUGIN_CRASHED");
  EXPECT_EQ(crash.metadata.at("signal"), "9");
}

TEST_F(Crashes, EndEachOfManyStreamsOverEverySocket) {
  constexpr std::size_t kStreams = 128;
  usual_manifests();
  start();
  const std::string pid = answer("echo", "!pid");
  std::deque<OpenCall> streams;
  const std::array channels{front(), front(), plugin_socket("echo"), plugin_socket("echo")};
  while (streams.size() < kStreams) {
    OpenCall& stream = streams.emplace_back(channels[streams.size() % channels.size()]);
    const std::string payload = "stream " + std::to_string(streams.size());
    ASSERT_EQ(stream.echo(payload), payload) << "it is in the plugin's hands";
  }
  ASSERT_EQ(get_plugin("echo").instances(0).calls_in_flight(), kStreams);
  ::kill(std::stoi(pid), SIGKILL);
  for (OpenCall& stream : streams) {
    EXPECT_EQ(stream.echo("are you there?"), "");
    Told crash = told(stream.end());
    EXPECT_EQ(crash.code, grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(crash.reason, "PLUGIN_CRASHED") << crash.message;
    EXPECT_EQ(crash.metadata["signal"], "9");
    EXPECT_THAT(crash.message, HasSubstr("(pid " + pid + ")"));
  }
  EXPECT_THAT(crashes(directory_, "echo"),
              HasSubstr("  calls:    " + std::to_string(kStreams) + " in flight"));
  EXPECT_NE(answer("echo", "!pid"), pid);
}

TEST_F(Crashes, TooManyAreALoopUntilAnOperatorClearsIt) {
  const std::string go_plugin = "dialect = 'go-plugin'\nenv = { E2E_COOKIE = 'right' }\n";
  const std::pair<std::string, const char*> cases[] = {
      {"", "start"}, {"", "restart"}, {go_plugin, "start"}, {go_plugin, "restart"}};
  for (const auto& [more, command] : cases) {
    manifest("fragile", {kTestPlugin},
             more + "restart = { limit = 3, backoff = '1ms', window = '1h' }\n");
    start();
    HostProcess host(directory_, "fragile");
    const auto crash = [&] { EXPECT_THAT(host.call("!exit 9"), HasSubstr("PLUGIN_CRASHED")); };
    for (int i = 0; i < 3; ++i) crash();
    const std::string loop = host.call("hello");
    EXPECT_THAT(loop, AllOf(HasSubstr("CRASH_LOOP"), HasSubstr("failed 3 times"),
                            HasSubstr("exit code 9"), HasSubstr("pluginctl restart fragile")));
    const v1::Plugin plugin = get_plugin("fragile");
    EXPECT_EQ(plugin.state(), v1::INSTANCE_STATE_FAILED);
    EXPECT_EQ(plugin.failures(), 3U);
    EXPECT_EQ(plugin.starts(), 3U) << "what is in a loop is not started";

    EXPECT_EQ(pluginctl(directory_, {command, "fragile"}).out, "fragile is ready\n");
    EXPECT_EQ(get_plugin("fragile").state(), v1::INSTANCE_STATE_READY);
    EXPECT_EQ(host.call("hello"), "hello");
    host.leave();
    stop();
  }
}

TEST_F(Crashes, OfStartsAreALoopToo) {
  manifest("bad", {kMisbehave, "exit", "4"}, "restart = { limit = 2, backoff = '1ms' }\n");
  start();
  EXPECT_EQ(failure("bad").reason, "START_EXITED");
  EXPECT_EQ(failure("bad").reason, "CRASH_LOOP");
  const Told loop = failure("bad");
  EXPECT_EQ(loop.reason, "CRASH_LOOP");
  EXPECT_THAT(loop.message, HasSubstr("exit code 4"));
  EXPECT_EQ(get_plugin("bad").starts(), 2U);
}

TEST_F(Crashes, OfASharedPluginAreMendedByItself) {
  manifest("mended", {kTestPlugin}, "restart.backoff = '1ms'\n");
  manifest("left", {kTestPlugin}, "restart.policy = 'never'\n");
  start();
  for (const char* plugin : {"left", "mended"}) {
    const std::string pid = answer(plugin, "!pid");
    ::kill(std::stoi(pid), SIGKILL);
    if (std::string(plugin) == "mended") {
      EXPECT_TRUE(eventually([&] { return get_plugin(plugin).starts() == 2; }));
    } else {
      EXPECT_TRUE(eventually([&] { return get_plugin(plugin).instances_size() == 0; }));
    }
  }
  EXPECT_EQ(get_plugin("left").starts(), 1U);
  EXPECT_EQ(answer("left", "hello"), "hello");
  EXPECT_EQ(answer("mended", "hello"), "hello");
}

TEST_F(Crashes, AreNotWhatAHungUpConnectionIs) {
  usual_manifests();
  start();
  const std::string pid = answer("echo", "!pid");
  const Told lost = failure("echo", "!hang-up");
  EXPECT_EQ(lost.reason, "PLUGIN_PROTOCOL_ERROR");
  EXPECT_THAT(lost.message, HasSubstr("closed its connection during the call but still runs"));
  EXPECT_EQ(answer("echo", "!pid"), pid) << "it takes another connection";

  EXPECT_EQ(failure("echo", "!hang-up for-good").reason, "PLUGIN_PROTOCOL_ERROR");
  EXPECT_NE(answer("echo", "!pid"), pid);
  EXPECT_FALSE(testing::alive(std::stoi(pid)));
}

}  // namespace
}  // namespace plugind::e2e
