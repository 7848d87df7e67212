// What `pluginctl crashes` prints, against a real control server.
#include <grpc/grpc.h>
#include <gtest/gtest.h>

#include <csignal>
#include <regex>

#include "tests/unit/control/fake_daemon.h"
#include "tests/unit/pluginctl/program.h"

namespace plugind::pluginctl {
namespace {

using control::FakeDaemon;
using std::chrono::milliseconds;

Outcome ask(const FakeDaemon& daemon, std::vector<std::string> arguments) {
  return run(std::move(arguments), {{"PLUGIND_SOCKET", daemon.address()}, {"TZ", "UTC"}});
}

/// Times are of the past, so that their ages are known.
std::string without_ages(const std::string& text) {
  return std::regex_replace(text, std::regex(R"(\(\d+d\))"), "(AGE)");
}

plugin::CrashReport crash() {
  plugin::CrashReport report;
  report.number = 2;
  report.instance = "kv#3";
  report.version = "1.2";
  report.started = std::chrono::sys_days(std::chrono::January / 31 / 2025);
  report.ended = report.started + milliseconds(5'125);
  report.ready_for = milliseconds(5'000);
  report.message = "plugin 'kv' (pid 7) ended with signal 11 (SIGSEGV) after 5000 ms";
  report.pid = 7;
  report.exit = plugin::ExitStatus{.code = {},
                                   .signal = SIGSEGV,
                                   .core_dumped = true,
                                   .core = {"/var/crash/core.7", ""},
                                   .use = plugin::ResourceUse{.user_time = milliseconds(1'254),
                                                              .system_time = milliseconds(10),
                                                              .peak_memory = 48 << 20}};
  report.stderr_tail = "panic \x1b[31m\nlast words";
  report.calls_lost = 34;
  report.calls = {{"/proto.KV/Get", 100, milliseconds(12)}, {"/proto.KV/Put", 0, milliseconds(3)}};
  return report;
}

plugin::CrashReport failed_start() {
  plugin::CrashReport report;
  report.number = 1;
  report.instance = "kv#2";
  report.started = std::chrono::sys_days(std::chrono::January / 30 / 2025);
  report.ended = report.started + milliseconds(60'000);
  report.reason = Reason::kStartTimeout;
  report.message = "plugin 'kv' cannot start: it was not ready after 60 s";
  report.pid = 6;
  report.exit =
      plugin::ExitStatus{.code = {},
                         .signal = SIGKILL,
                         .use = plugin::ResourceUse{.peak_memory = 1 << 20, .peak_is_bound = true}};
  report.killed = true;
  return report;
}

TEST(Crashes, AreToldInFullTheNewestFirst) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().crash_reports["kv"] = {crash(), failed_start()};
  });
  const Outcome outcome = ask(daemon, {"crashes", "kv"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(without_ages(outcome.out),
            R"(kv#3, version 1.2, 2025-01-31 00:00:05.125 (AGE): PLUGIN_CRASHED
  what:     plugin 'kv' (pid 7) ended with signal 11 (SIGSEGV) after 5000 ms
  started:  2025-01-31 00:00:00.000, ready for 5s
  process:  pid 7, signal 11 (SIGSEGV), core dumped
  core:     /var/crash/core.7
  used:     1.25 s user, 0.01 s system, 48 MiB of memory
  calls:    34 in flight
    METHOD         HOST  AGE
    /proto.KV/Get  100   12ms
    /proto.KV/Put  -     3ms
    and 32 more
  stderr:
    panic \x1b[31m
    last words

kv#2, 2025-01-30 00:01:00.000 (AGE): START_TIMEOUT
  what:     plugin 'kv' cannot start: it was not ready after 60 s
  started:  2025-01-30 00:00:00.000, never ready
  process:  pid 6, signal 9 (SIGKILL), by plugind
  used:     0.00 s user, 0.00 s system, less than 1 MiB of memory
  stderr:   nothing
)");
}

TEST(Crashes, AreOneMessageAsJson) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().crash_reports["kv"] = {crash()};
  });
  const Outcome outcome = ask(daemon, {"crashes", "kv", "--json"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_TRUE(outcome.out.starts_with("{\"crashes\":[{\"number\":\"2\",\"instance\":\"kv#3\""))
      << outcome.out;
  EXPECT_NE(outcome.out.find("\"signal\":11"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out.find("exitCode"), std::string::npos) << outcome.out;
}

TEST(Crashes, MayBeNone) {
  FakeDaemon daemon;
  daemon.on_loop([&] { daemon.admin().add("kv"); });
  const Outcome outcome = ask(daemon, {"crashes", "kv"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.out, "kv has no crash reports\n");
  EXPECT_EQ(ask(daemon, {"crashes", "kv", "--json"}).out, "{\"crashes\":[]}\n");
}

TEST(Crashes, OfAPluginThatIsNotThereAreExitCode1) {
  FakeDaemon daemon;
  const Outcome outcome = ask(daemon, {"crashes", "nobody"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err,
            "pluginctl: NOT_FOUND (PLUGIN_NOT_FOUND): no plugin 'nobody' is registered\n");
}

TEST(Crashes, AreReferredToInTheStatus) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    auto& kv = daemon.admin().add("kv");
    kv.last_failure = "it crashed; its last stderr:\nwords";
    kv.crashes = 3;
    kv.last_crash = plugin::CrashSummary{std::chrono::sys_days(std::chrono::January / 31 / 2025),
                                         "it crashed\x1b"};
  });
  const Outcome outcome = ask(daemon, {"status", "kv"});
  EXPECT_NE(without_ages(outcome.out)
                .find("  last failure: 2025-01-31 00:00:00 (AGE): it crashed\\x1b\n"
                      "  crashes:      3 kept; see `pluginctl crashes kv`\n"),
            std::string::npos)
      << outcome.out;
}

}  // namespace
}  // namespace plugind::pluginctl
