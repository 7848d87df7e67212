// The built pluginctl against a real control server: what it prints and how it exits.
#include <grpc/grpc.h>
#include <gtest/gtest.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <fstream>
#include <future>
#include <iterator>
#include <optional>
#include <sstream>

#include "tests/unit/control/fake_daemon.h"
#include "tests/unit/pluginctl/program.h"

namespace plugind::pluginctl {
namespace {

using control::FakeDaemon;
using control::TemporaryDirectory;
using ::testing::AssertionFailure;
using ::testing::AssertionResult;
using ::testing::AssertionSuccess;

Outcome ask(const FakeDaemon& daemon, std::vector<std::string> arguments) {
  return run(std::move(arguments), {{"PLUGIND_SOCKET", daemon.address()}});
}

AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return AssertionSuccess();
  return AssertionFailure() << "\"" << part << "\" is not in:\n" << text;
}

std::chrono::system_clock::time_point ago(std::chrono::seconds time) {
  return std::chrono::system_clock::now() - time;
}

TEST(List, LinesUpAndIsNotColouredInAPipe) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    auto& kv = daemon.admin().add("kv");
    kv.manifest.version = "1.2.0";
    kv.manifest.dialect = plugin::DialectKind::kGoPlugin;
    kv.manifest.scope = plugin::Scope::kHost;
    kv.state = plugin::InstanceState::kReady;
    kv.since = ago(std::chrono::minutes(5));
    kv.instances.resize(2);
    kv.instances[0].pid = 7;
    kv.calls = 1'234;
    auto& broken = daemon.admin().add("a-longer-name");
    broken.state = plugin::InstanceState::kFailed;
    broken.since = ago(std::chrono::hours(72));
    broken.failures = 5;
  });
  const Outcome outcome = ask(daemon, {"list"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.out,
            "NAME           VERSION  DIALECT    SCOPE   STATE   SINCE  INSTANCES  CALLS  FAILURES\n"
            "a-longer-name  -        native     shared  failed  3d     0          0      5\n"
            "kv             1.2.0    go-plugin  host    ready   5m     1          1234   0\n");
}

TEST(List, SaysThatThereIsNothing) {
  FakeDaemon daemon;
  const Outcome outcome = ask(daemon, {"list"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(contains(outcome.out, "no plugin is registered"));
  EXPECT_EQ(ask(daemon, {"list", "--json"}).out, "{\"plugins\":[]}\n");
}

TEST(Status, ShowsEverything) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    auto& kv = daemon.admin().add("kv");
    auto& manifest = kv.manifest;
    manifest.version = "1.2.0";
    manifest.file = "/etc/plugind/plugins.d/kv.toml";
    manifest.command = {"/opt/kv", "--flag"};
    manifest.env = {{"TOKEN", "hidden-value"}, {"BASIC_PLUGIN", "hello"}};
    manifest.services = {"proto.KV"};
    manifest.dialect = plugin::DialectKind::kGoPlugin;
    manifest.scope = plugin::Scope::kHost;
    manifest.go_plugin.cookie_key = "BASIC_PLUGIN";
    manifest.go_plugin.cookie_value = "hidden-cookie";
    manifest.calls_timeout = std::chrono::milliseconds(1'500);
    manifest.calls_timeout_max = std::chrono::minutes(1);
    manifest.access = {.everybody = false, .users = {{1, "ada"}, {9, ""}}, .groups = {{2, "dev"}}};
    kv.state = plugin::InstanceState::kReady;
    kv.cause = "an instance is ready\x1b[31m";
    kv.since = ago(std::chrono::seconds(30));
    kv.starts = 3;
    kv.failures = 1;
    kv.last_failure = "kv#1: exit code 3\nits stderr";
    kv.calls = 17;
    plugin::InstanceStatus instance;
    instance.id = "kv#2";
    instance.state = plugin::InstanceState::kReady;
    instance.cause = "greeted";
    instance.pid = 100;
    instance.tree = {100, 101};
    instance.host_pid = 55;
    instance.calls = 17;
    instance.calls_in_flight = 2;
    instance.protocol_version = 1;
    instance.use = plugin::CurrentUse{std::chrono::milliseconds(2'500), 12 << 20};
    kv.instances = {instance};
  });
  const Outcome outcome = ask(daemon, {"status", "kv"});
  EXPECT_EQ(outcome.exit_code, 0);
  for (const char* part : {"kv 1.2.0\n",
                           "state:        ready since 2",
                           "an instance is ready\\x1b[31m",
                           "unix:/run/test/plugins/kv.sock",
                           "/etc/plugind/plugins.d/kv.toml",
                           "/opt/kv --flag",
                           "BASIC_PLUGIN, TOKEN",
                           "proto.KV",
                           "go-plugin, cookie BASIC_PLUGIN, protocol versions 1",
                           "host, kept 1s after its host",
                           "on-demand, ready within 1m",
                           "killed 5s after being asked",
                           "on-failure, after 100ms up to 30s",
                           "given up after 5 failures within 1m",
                           "timeout 1500ms, never over 1m, messages up to 256 MiB",
                           "at most 16384 at a time and 1024 waiting",
                           "users ada, 9; groups dev",
                           "3, of which 1 failed",
                           "kv#1: exit code 3 | its stderr",
                           "17 calls",
                           "INSTANCE",
                           "kv#2",
                           "1         2500ms  12 MiB  100,101",
                           "55",
                           "greeted"}) {
    EXPECT_TRUE(contains(outcome.out, part));
  }
  EXPECT_FALSE(contains(outcome.out, "hidden"));

  const Outcome json = ask(daemon, {"--json", "status", "kv"});
  EXPECT_TRUE(contains(json.out, "\"state\":\"INSTANCE_STATE_READY\""));
  EXPECT_TRUE(contains(json.out, "\"treePids\":[\"100\",\"101\"]"));
  EXPECT_TRUE(contains(json.out, "\"stopGrace\":\"5s\""));
  EXPECT_FALSE(contains(json.out, "hidden"));
}

TEST(Status, ShowsTheStepsOfAStop) {
  FakeDaemon daemon;
  const auto shown = [&](const std::string& name, std::vector<plugin::StopStep> steps) {
    daemon.on_loop([&] { daemon.admin().add(name).manifest.stop_steps = std::move(steps); });
    return ask(daemon, {"status", name}).out;
  };
  using std::chrono::milliseconds;
  EXPECT_TRUE(contains(shown("some", {{std::nullopt, milliseconds(5'000)},
                                      {plugin::StopSignal::kInterrupt, milliseconds(1'500)}}),
                       "; asked to end for 5s, then SIGINT for 1500ms, then killed\n"));
  EXPECT_TRUE(contains(shown("none", {}), "calls may go on for 5s; killed\n"));
}

TEST(Status, UnknownPluginIsExitCode1) {
  FakeDaemon daemon;
  const Outcome outcome = ask(daemon, {"status", "nobody"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err,
            "pluginctl: NOT_FOUND (PLUGIN_NOT_FOUND): no plugin 'nobody' is registered\n");
  EXPECT_EQ(ask(daemon, {"status", "nobody", "--json"}).err,
            "{\"error\":{\"message\":\"no plugin 'nobody' is registered\",\"code\":\"NOT_FOUND\","
            "\"reason\":\"PLUGIN_NOT_FOUND\"}}\n");
}

TEST(Lifecycle, StartsStopsAndRestarts) {
  FakeDaemon daemon;
  daemon.on_loop([&] { daemon.admin().add("kv"); });
  EXPECT_EQ(ask(daemon, {"start", "kv"}).out, "kv is ready\n");
  EXPECT_EQ(ask(daemon, {"stop", "kv"}).out, "kv is stopped\n");
  EXPECT_EQ(ask(daemon, {"restart", "kv"}).out, "kv is ready\n");
  EXPECT_TRUE(contains(ask(daemon, {"restart", "kv", "--json"}).out, "\"starts\":\"2\""));
}

TEST(Lifecycle, AFailedStartSaysWhy) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().start_error = make_error(Reason::kStartExited, "kv#1 exited\nlast words");
  });
  const Outcome outcome = ask(daemon, {"start", "kv"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.err, "pluginctl: UNAVAILABLE (START_EXITED): kv#1 exited\nlast words\n");
}

TEST(Lifecycle, TimeoutIsExitCode4) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().hold_start = true;
  });
  const Outcome outcome = ask(daemon, {"start", "kv", "--timeout", "100ms"});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_TRUE(contains(outcome.err, "no answer in time"));
}

TEST(Logs, PrintsTheLastLines) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().print("kv", "one\ntwo\nthree\x1b[2J\n");
  });
  const Outcome outcome = ask(daemon, {"logs", "kv", "-n", "2"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_FALSE(contains(outcome.out, "one"));
  EXPECT_TRUE(contains(outcome.out, " kv#1 stdout -     two\n"));
  EXPECT_TRUE(contains(outcome.out, " kv#1 stdout -     three\\x1b[2J\n"));
  EXPECT_TRUE(contains(ask(daemon, {"logs", "kv", "--json"}).out, "\"text\":\"one\""));
}

TEST(Logs, FollowsUntilThePluginIsRemoved) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().print("kv", "before\n");
  });
  Program program({"logs", "-f", "kv"}, {{"PLUGIND_SOCKET", daemon.address()}});
  EXPECT_TRUE(program.read_line().ends_with(" kv#1 stdout -     before"));
  daemon.on_loop([&] { daemon.admin().print("kv", "after\n"); });
  EXPECT_TRUE(program.read_line().ends_with(" kv#1 stdout -     after"));
  daemon.on_loop([&] { daemon.admin().remove("kv"); });
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_TRUE(contains(outcome.err, "PLUGIN_NOT_FOUND"));
  EXPECT_TRUE(contains(outcome.err, "'kv' has been removed"));
}

TEST(Logs, LevelAndSinceChooseLinesAndTracesStayWhole) {
  FakeDaemon daemon;
  const std::string trace = "panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:3 +0x1d\n";
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().print("kv", "[DEBUG] one\n[WARN] two\nthree\n" + trace);
  });
  const std::string all = ask(daemon, {"logs", "kv"}).out;
  EXPECT_TRUE(contains(all, " kv#1 stdout debug [DEBUG] one\n"));
  EXPECT_TRUE(contains(all, " kv#1 stdout -     three\n"));
  EXPECT_TRUE(contains(all, " kv#1 stdout fatal panic: boom\n"));
  EXPECT_TRUE(contains(all, " kv#1 stdout |     main.main()\n"));
  const auto lines = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"logs", "kv"});
    const std::string out = ask(daemon, options).out;
    return std::count(out.begin(), out.end(), '\n');
  };
  EXPECT_EQ(lines({"--level", "warn"}), 6);
  EXPECT_EQ(lines({"--level", "info"}), 7);
  EXPECT_EQ(lines({"--level", "fatal", "-n", "1"}), 5);
  EXPECT_EQ(lines({"--since", "1h"}), 8);
  EXPECT_EQ(lines({"--since", "1h", "-n", "6"}), 6);
  EXPECT_EQ(lines({"--since", "2999-01-31T23:59:59+01:00"}), 0);
  EXPECT_TRUE(contains(ask(daemon, {"logs", "kv", "--level", "warn", "--json"}).out,
                       "\"level\":\"LOG_LEVEL_FATAL\",\"continuation\":true"));
}

TEST(Logs, WithSinceAllLinesAreMeant) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    for (int i = 0; i < 150; ++i) daemon.admin().print("kv", "line\n");
  });
  const auto lines = [&](const std::vector<std::string>& arguments) {
    const std::string out = ask(daemon, arguments).out;
    return std::count(out.begin(), out.end(), '\n');
  };
  EXPECT_EQ(lines({"logs", "kv"}), 100);
  EXPECT_EQ(lines({"logs", "kv", "--since", "1h"}), 150);
}

TEST(Logs, ASuspendedReaderDoesNotHoldTheDaemon) {
  std::optional<FakeDaemon> daemon(std::in_place);
  daemon->on_loop([&] {
    daemon->admin().add("kv");
    daemon->admin().print("kv", "before\n");
  });
  std::future<void> ended;  // Goes after the program, without which the daemon ends in any case.
  Program program({"logs", "-f", "kv"}, {{"PLUGIND_SOCKET", daemon->address()}});
  EXPECT_TRUE(program.read_line().ends_with("before"));
  program.suspend();
  // Written until nothing more fits into the socket.
  const std::string line = std::string(8'000, 'x') + "\n";
  for (int i = 0; i < 50; ++i) {
    daemon->on_loop([&] {
      for (int j = 0; j < 20; ++j) daemon->admin().print("kv", line);
    });
  }
  ended = std::async(std::launch::async, [&] {
    daemon->stop();
    daemon.reset();
  });
  EXPECT_EQ(ended.wait_for(testing::kDeadline), std::future_status::ready);
}

TEST(Logs, ALargeLogIsPrintedWhole) {
  FakeDaemon daemon;
  const std::string line = std::string(8'000, 'x') + "\n";
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    for (int i = 0; i < 125; ++i) daemon.admin().print("kv", line);
  });
  EXPECT_GT(ask(daemon, {"logs", "kv", "-n", "1000"}).out.size(), 1'000'000u);
}

// Taking the library down waits up to ten seconds for a poller after a large write.
TEST(Daemon, DoesNotTakeGrpcDownWhenItEnds) {
  std::optional<FakeDaemon> daemon(std::in_place);
  EXPECT_EQ(ask(*daemon, {"list"}).exit_code, 0);
  daemon.reset();
  EXPECT_EQ(grpc_is_initialized(), 1);
}

TEST(Events, AreToldUntilTheDaemonEnds) {
  FakeDaemon daemon;
  daemon.on_loop([&] { daemon.admin().add("kv"); });
  // With JSON and without, both at once.
  Program text({"events"}, {{"PLUGIND_SOCKET", daemon.address()}});
  Program json({"events", "kv", "--json"}, {{"PLUGIND_SOCKET", daemon.address()}});
  // A watch begins some time after the program: publish until both have heard.
  std::atomic<bool> heard = false;
  auto publishing = std::async(std::launch::async, [&] {
    while (!heard) {
      daemon.on_loop([&] {
        daemon.admin().publish(plugin::Event::Kind::kState, "kv", "it was greeted");
        plugin::Event of_plugin;
        of_plugin.plugin = "kv";
        of_plugin.state = plugin::InstanceState::kBackoff;
        of_plugin.cause = "starts again";
        daemon.admin().bus.publish(of_plugin);
      });
      std::this_thread::yield();
    }
  });
  const std::string lines = text.read_line() + "\n" + text.read_line() + "\n";
  const std::string objects = json.read_line() + json.read_line();
  heard = true;
  publishing.get();
  EXPECT_TRUE(contains(lines, " kv#1 ready: it was greeted\n")) << lines;
  EXPECT_TRUE(contains(lines, " kv backoff: starts again\n")) << lines;
  EXPECT_TRUE(contains(objects, "\"cause\":\"it was greeted\""));

  daemon.stop();
  for (Program* program : {&text, &json}) {
    const Outcome outcome = program->wait();
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_TRUE(contains(outcome.err, "DAEMON_DRAINING"));
  }
}

TEST(Reload, TellsWhatHasChanged) {
  FakeDaemon daemon;
  EXPECT_EQ(ask(daemon, {"reload"}).out, "nothing has changed\n");
  daemon.on_loop([&] { daemon.reload() = plugin::ReloadSummary{{"a"}, {"b"}, {"c"}}; });
  EXPECT_EQ(ask(daemon, {"reload"}).out, "added a\nchanged c\nremoved b\n");
  EXPECT_EQ(ask(daemon, {"reload", "--json"}).out,
            "{\"added\":[\"a\"],\"removed\":[\"b\"],\"changed\":[\"c\"]}\n");
  daemon.on_loop([&] {
    daemon.reload() = std::unexpected(make_error(Reason::kManifestInvalid, "a.toml:1:1: no\nb"));
  });
  const Outcome outcome = ask(daemon, {"reload"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.err, "pluginctl: INVALID_ARGUMENT (MANIFEST_INVALID): a.toml:1:1: no\nb\n");
}

TEST(Version, TellsBoth) {
  FakeDaemon daemon;
  const Outcome outcome = ask(daemon, {"version"});
  EXPECT_EQ(outcome.exit_code, 0);
  for (const char* part : {"pluginctl 0.", "plugind   9.8.7", "4711", "/etc/test/plugins.d",
                           "connections:  3", "memory:       17 MiB"}) {
    EXPECT_TRUE(contains(outcome.out, part));
  }
  EXPECT_TRUE(contains(ask(daemon, {"version", "--json"}).out, "\"version\":\"9.8.7\""));
}

TEST(NoDaemon, SaysWhereItLookedAndWhatToDo) {
  TemporaryDirectory directory;
  const std::string path = (directory.path() / "none.sock").string();
  const Outcome outcome = run({"list", "--socket", path});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(contains(outcome.err, "no plugind answers at unix:" + path));
  EXPECT_TRUE(contains(outcome.err, "there is no such socket"));
  EXPECT_TRUE(contains(outcome.err,
                       ". Start it with 'plugind' or 'systemctl --user start plugind', or say "
                       "where it listens with --socket or PLUGIND_SOCKET.\n"));
  // Its own version is told all the same.
  const Outcome version = run({"version"}, {{"XDG_RUNTIME_DIR", directory.path().string()}});
  EXPECT_EQ(version.exit_code, 3);
  EXPECT_TRUE(version.out.starts_with("pluginctl 0."));
  EXPECT_TRUE(contains(version.err, directory.path().string() + "/plugind/plugind.sock"));
}

TEST(NoDaemon, ADeadSocketIsToldApart) {
  TemporaryDirectory directory;
  const std::string path = (directory.path() / "dead.sock").string();
  {
    boost::asio::io_context loop;
    boost::asio::local::stream_protocol::acceptor dead(loop, path);
  }
  const Outcome outcome = run({"list"}, {{"PLUGIND_SOCKET", path}});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_TRUE(contains(outcome.err, "the socket is there, but nothing listens on it"));
}

TEST(NoDaemon, ATimeoutThatPassesBeforeItGreetsIsExitCode4) {
  TemporaryDirectory directory;
  const std::string path = (directory.path() / "silent.sock").string();
  boost::asio::io_context loop;
  boost::asio::local::stream_protocol::acceptor silent(loop, path);  // Never accepts.
  const Outcome outcome = run({"list", "--timeout", "50ms"}, {{"PLUGIND_SOCKET", path}});
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_EQ(outcome.err, "pluginctl: DEADLINE_EXCEEDED: there was no answer in time: unix:" + path +
                             " did not greet within the 50ms of --timeout\n");
}

TEST(Usage, IsExitCode2) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"bogus"},
                                             {"status"},
                                             {"list", "--timeout", "5"},
                                             {"list", "--socket", "relative.sock"},
                                             {"list", "--socket", "tcp:example.com:80"},
                                             {"logs", "kv", "-n", "many"},
                                             {"logs", "kv", "--level", "loud"},
                                             {"logs", "kv", "--since", "yesterday"},
                                             {"logs", "kv", "--since", "2026-01-31 23:59"}}) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << ::testing::PrintToString(arguments) << outcome.err;
    EXPECT_NE(outcome.err, "");
  }
}

TEST(Usage, HelpTellsTheExitCodes) {
  const Outcome outcome = run({"--help"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(contains(outcome.out, "3  no daemon answers at the address"));
}

TEST(Docs, NameEveryCommandOptionAndExitCode) {
  std::ifstream file(SOURCE_ROOT "/docs/pluginctl.md");
  const std::string page((std::istreambuf_iterator<char>(file)), {});
  ASSERT_NE(page, "");
  const std::string help = run({"--help"}).out;
  std::istringstream lines(help);
  std::string section;
  int commands = 0;
  int codes = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with(':')) section = line;
    if (!line.starts_with("  ")) continue;
    const std::string word = line.substr(2, line.find(' ', 2) - 2);
    if (section == "Subcommands:" && !word.empty()) {
      ++commands;
      EXPECT_TRUE(page.find("\n| `" + word + "`") != page.npos ||
                  page.find("\n| `" + word + " ") != page.npos)
          << word;
    } else if (section == "Exit codes:") {
      ++codes;
      EXPECT_TRUE(contains(page, "\n| " + word + " | " + line.substr(5) + " |\n"));
    } else if (section == "Options:" && word.starts_with("--") && word != "--version") {
      EXPECT_TRUE(contains(page, "\n| `" + word));
    }
  }
  EXPECT_EQ(commands, 13);
  EXPECT_EQ(codes, 7);
}

// The real reflection service of grpc++, over the control API itself.
TEST(Call, UsesTheReflectionOfGrpc) {
  FakeDaemon daemon;
  const Outcome outcome =
      ask(daemon, {"call", "any", "plugind.v1.PluginHost/GetDaemonInfo", "--json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(contains(outcome.out, "\"version\":\"9.8.7\""));
  const Outcome unknown =
      ask(daemon, {"call", "any", "plugind.v1.PluginHost/GetPlugin", "-d", "{\"name\":\"x\"}"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_TRUE(contains(unknown.err, "NOT_FOUND (PLUGIN_NOT_FOUND)"));
}

}  // namespace
}  // namespace plugind::pluginctl
