#include "daemon/plugin/manifest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>

#include "daemon/plugin/manifest_keys.h"

namespace plugind::plugin {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kMinimal = "name = \"kv\"\ncommand = [\"./kv\"]\n";

Manifest parsed(std::string_view text) {
  auto manifest = parse_manifest(text, "/etc/plugins.d/kv.toml");
  if (!manifest) {
    ADD_FAILURE() << manifest.error().message;
    return {};
  }
  return *manifest;
}

std::string mistakes(std::string_view text) {
  auto manifest = parse_manifest(text, "/etc/plugins.d/kv.toml");
  if (manifest) return "no mistake";
  EXPECT_EQ(manifest.error().reason, Reason::kManifestInvalid);
  return manifest.error().message;
}

// The mistakes of the minimal manifest with `line` added as its third.
std::string mistakes_of_line(std::string_view line) {
  return mistakes(std::string(kMinimal) + std::string(line) + "\n");
}

TEST(ManifestTest, MinimalTakesDefaults) {
  const Manifest m = parsed(kMinimal);
  EXPECT_EQ(m.file, "/etc/plugins.d/kv.toml");
  EXPECT_EQ(m.name, "kv");
  EXPECT_EQ(m.version, "");
  EXPECT_EQ(m.dialect, DialectKind::kNative);
  EXPECT_EQ(m.scope, Scope::kShared);
  EXPECT_EQ(m.start_timeout, 60s);
  EXPECT_EQ(m.calls_max_message, 256u << 20);
  EXPECT_EQ(m.output, (OutputOptions{.file_size = 10u << 20, .files = 5}));
}

TEST(ManifestTest, ReadsEveryKey) {
  const Manifest m = parsed(R"(
name = "kv"
version = "1.2.0"
dialect = "go-plugin"
command = ["./bin/../kv-go-grpc", "--verbose", ""]
working_directory = "state"
env = { BASIC_PLUGIN = "hello" }
services = ["proto.KV", "Plain"]
scope = "shared"
start.mode = "boot"
start.timeout = "1500ms"
stop.grace = "0s"
stop.linger = "2m"
calls.timeout = "1h"
calls.timeout_max = "2h"
calls.max_message = "64KiB"
calls.max_concurrent = 70
calls.queue = 7
calls.queue_timeout = "3s"
calls.per_instance = 2
instances = 4
crashes.keep = 8
output.file_size = "1GiB"
output.files = 0
access.users = [1000, 0]
access.groups = []

[restart]
policy = "always"
backoff = "1s"
backoff_max = "9s"
limit = 3
window = "90s"

[go-plugin]
protocol_versions = [4, 5]
cookie_key = "TF_PLUGIN_MAGIC_COOKIE"
cookie_value = "d602"
)");
  EXPECT_EQ(m.version, "1.2.0");
  EXPECT_EQ(m.dialect, DialectKind::kGoPlugin);
  EXPECT_EQ(m.command, (std::vector<std::string>{"/etc/plugins.d/kv-go-grpc", "--verbose", ""}));
  EXPECT_EQ(m.working_directory, "/etc/plugins.d/state");
  EXPECT_EQ(m.env, (std::map<std::string, std::string>{{"BASIC_PLUGIN", "hello"}}));
  EXPECT_EQ(m.services, (std::vector<std::string>{"proto.KV", "Plain"}));
  EXPECT_EQ(m.scope, Scope::kShared);
  EXPECT_EQ(m.start_mode, StartMode::kBoot);
  EXPECT_EQ(m.start_timeout, 1500ms);
  EXPECT_EQ(m.stop_grace, 0s);
  EXPECT_EQ(m.host_linger, 2min);
  EXPECT_EQ(m.calls_timeout, 1h);
  EXPECT_EQ(m.calls_max_message, 64u << 10);
  EXPECT_EQ(m.calls_timeout_max, 2h);
  EXPECT_EQ(m.calls_max_concurrent, 70u);
  EXPECT_EQ(m.calls_queue, 7u);
  EXPECT_EQ(m.calls_queue_timeout, 3s);
  EXPECT_EQ(m.calls_per_instance, 2u);
  EXPECT_EQ(m.instances, 4u);
  EXPECT_EQ(m.crashes_keep, 8u);
  EXPECT_EQ(m.output, (OutputOptions{.file_size = 1u << 30, .files = 0}));
  EXPECT_FALSE(m.access.everybody);
  EXPECT_EQ(m.access.users, (std::vector<Account>{{1'000, ""}, {0, ""}}));
  EXPECT_EQ(m.access.groups, std::vector<Account>{});
  EXPECT_EQ(m.restart_policy, RestartPolicy::kAlways);
  EXPECT_EQ(m.restart_backoff, 1s);
  EXPECT_EQ(m.restart_backoff_max, 9s);
  EXPECT_EQ(m.restart_limit, 3u);
  EXPECT_EQ(m.restart_window, 90s);
  EXPECT_EQ(m.go_plugin.protocol_versions, (std::vector<std::uint32_t>{4, 5}));
  EXPECT_EQ(m.go_plugin.cookie_key, "TF_PLUGIN_MAGIC_COOKIE");
  EXPECT_EQ(m.go_plugin.cookie_value, "d602");
}

TEST(ManifestTest, TellsOfInstancesAndTheirHealth) {
  const Manifest m = parsed(std::string(kMinimal) + R"(
scope = "host"
spares = 2
max_instances = 9
start.timeout_max = "2m"
stop.idle = "15m"
health.interval = "10s"
health.timeout = "1s"
health.failures = 4
)");
  EXPECT_EQ(m.spares, 2u);
  EXPECT_EQ(m.max_instances, 9u);
  EXPECT_EQ(m.start_timeout_max, 2min);
  EXPECT_EQ(m.stop_idle, 15min);
  EXPECT_EQ(m.health_interval, 10s);
  EXPECT_EQ(m.health_timeout, 1s);
  EXPECT_EQ(m.health_failures, 4u);
}

TEST(ManifestTest, WithoutAccessListsEverybodyMayCall) {
  EXPECT_TRUE(parsed(kMinimal).access.everybody);
  EXPECT_FALSE(parsed(std::string(kMinimal) + "access.groups = []\n").access.everybody);
  EXPECT_FALSE(parsed(std::string(kMinimal) + "access.users = []\n").access.everybody);
}

TEST(ManifestTest, NamesInAccessListsAreLookedUp) {
  const AccountLookup lookup{
      .user = [](const std::string& name) -> std::expected<std::uint32_t, std::string> {
        if (name == "ada") return 1'001;
        return std::unexpected("is no user of this system");
      },
      .group = [](const std::string& name) -> std::expected<std::uint32_t, std::string> {
        if (name == "ada") return 2'002;
        return std::unexpected("cannot be looked up: the directory is down");
      }};
  const std::string text =
      std::string(kMinimal) + "access.users = [\"ada\", 5]\naccess.groups = [\"ada\"]\n";
  const auto good = parse_manifest(text, "/kv.toml", lookup);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->access.users, (std::vector<Account>{{1'001, "ada"}, {5, ""}}));
  EXPECT_EQ(good->access.groups, (std::vector<Account>{{2'002, "ada"}}));

  const auto bad = parse_manifest(std::string(kMinimal) +
                                      "access.users = [\"ada\", \"bob\", \"a\\u0000\", \"7\"]\n"
                                      "access.groups = [\"x\"]\n",
                                  "/kv.toml", lookup);
  ASSERT_FALSE(bad);
  EXPECT_EQ(
      bad.error().message,
      "/kv.toml:3:24: `access.users`: \"bob\" is no user of this system\n"
      "/kv.toml:3:31: `access.users`: \"a\\x00\" is no user of this system\n"
      "/kv.toml:3:42: `access.users`: \"7\" is no user of this system; write a number without "
      "quotes\n"
      "/kv.toml:4:18: `access.groups`: \"x\" cannot be looked up: the directory is down");
}

TEST(ManifestTest, DottedKeysAndTablesAreTheSame) {
  EXPECT_EQ(parsed(std::string(kMinimal) + "start.mode = \"manual\"\nenv.A = \"b\"\n"),
            parsed(std::string(kMinimal) + "[start]\nmode = \"manual\"\n[env]\nA = \"b\"\n"));
}

TEST(ManifestTest, GoPluginsServeOneHostEach) {
  EXPECT_EQ(parsed(std::string(kMinimal) + "dialect = \"go-plugin\"\n").scope, Scope::kHost);
  EXPECT_EQ(parsed(std::string(kMinimal) + "scope = \"host\"\n").scope, Scope::kHost);
}

TEST(ManifestTest, CommandsWithoutSlashAreLeftForPath) {
  EXPECT_EQ(parsed("name = \"a\"\ncommand = [\"python3\", \"./x.py\"]").command,
            (std::vector<std::string>{"python3", "./x.py"}));
  EXPECT_EQ(parsed("name = \"a\"\ncommand = [\"/usr/bin/env\"]").command.front(), "/usr/bin/env");
}

TEST(ManifestTest, UnknownKeysSayWhereAndWhatWasMeant) {
  EXPECT_EQ(
      mistakes_of_line("  start.timout = \"5s\""),
      "/etc/plugins.d/kv.toml:3:9: unknown key `start.timout`; did you mean `start.timeout`?");
  EXPECT_EQ(mistakes_of_line("verison = \"1\""),
            "/etc/plugins.d/kv.toml:3:1: unknown key `verison`; did you mean `version`?");
  EXPECT_EQ(mistakes_of_line("backoff = \"1s\""),
            "/etc/plugins.d/kv.toml:3:1: unknown key `backoff`; did you mean `restart.backoff`?");
  EXPECT_EQ(mistakes_of_line("[quotas]\nmemory = \"1GiB\""),
            "/etc/plugins.d/kv.toml:4:1: unknown key `quotas.memory`");
  EXPECT_EQ(mistakes_of_line("quotas = {}"), "/etc/plugins.d/kv.toml:3:1: unknown key `quotas`");
  EXPECT_EQ(mistakes_of_line("\"a\\nb\" = 1"), "/etc/plugins.d/kv.toml:3:1: unknown key `a\\x0ab`");
}

TEST(ManifestTest, AllMistakesAreReportedInOrder) {
  EXPECT_EQ(mistakes("services = [\"no service\"]\nname = 5\nstart.timeout = \"5\"\ncolour = 1\n"),
            "/etc/plugins.d/kv.toml:1:1: `command` is missing; write for example command = "
            "[\"./kv-go-grpc\", \"--verbose\"]\n"
            "/etc/plugins.d/kv.toml:1:13: `services`: \"no service\" is not a service name like "
            "\"package.Service\"\n"
            "/etc/plugins.d/kv.toml:2:8: `name` must be text, not a number; for example \"kv\"\n"
            "/etc/plugins.d/kv.toml:3:17: `start.timeout`: \"5\" has no unit; write it like "
            "\"500ms\", \"5s\", \"2m\" or \"1h\"\n"
            "/etc/plugins.d/kv.toml:4:1: unknown key `colour`");
}

TEST(ManifestTest, SyntaxErrorsSayWhere) {
  EXPECT_TRUE(mistakes_of_line("version = ").starts_with("/etc/plugins.d/kv.toml:3:"))
      << mistakes_of_line("version = ");
}

// The library asserts instead of reporting these.
TEST(ManifestTest, WhatTheLibraryGivesUpOnIsAMistake) {
  EXPECT_EQ(mistakes_of_line("[=]"), "/etc/plugins.d/kv.toml:3:2: this is not TOML");
  EXPECT_EQ(mistakes_of_line("# ä\n[[ [a]]\nb = 1"),
            "/etc/plugins.d/kv.toml:4:4: this is not TOML");
  EXPECT_EQ(mistakes("[="), "/etc/plugins.d/kv.toml:1:2: this is not TOML");
}

// The library holds the place for unreachable that such a letter reaches; the undefined behaviour
// sanitizer fails without our guard.
TEST(ManifestTest, LettersOutsideOfTextAreAMistake) {
  EXPECT_TRUE(mistakes_of_line("x = 19\u03fa").starts_with("/etc/plugins.d/kv.toml:3:"));
  EXPECT_TRUE(mistakes_of_line("\u00e4 = 1").starts_with("/etc/plugins.d/kv.toml:3:"));
}

struct BadLine {
  std::string line, message;
};

class ManifestBadLineTest : public testing::TestWithParam<BadLine> {};

TEST_P(ManifestBadLineTest, IsRefused) {
  EXPECT_EQ(mistakes_of_line(GetParam().line), "/etc/plugins.d/kv.toml:" + GetParam().message);
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Lines, ManifestBadLineTest, testing::Values(
    BadLine{"start = \"boot\"", "3:1: `start` is a group of keys: `start.mode`, `start.timeout`, `start.timeout_max`"},
    BadLine{"env = [\"A=b\"]", "3:7: `env` must be a table of text, not an array; for example { BASIC_PLUGIN = \"hello\" }"},
    BadLine{"env.A = 1", "3:9: `env` must be a table of text, not a number; for example { BASIC_PLUGIN = \"hello\" }"},
    BadLine{"env.\"A=B\" = \"\"", "3:5: `env`: \"A=B\": an environment variable's name has no '=' and no control character"},
    BadLine{"env.\"\" = \"\"", "3:5: `env`: \"\": an environment variable needs a name"},
    BadLine{"env.A = \"\\u0000\"", "3:5: `env`: \"A\": its value has a NUL character"},
    BadLine{"env.PLUGIND_LISTEN = \"x\"", "3:5: `env`: \"PLUGIND_LISTEN\": PLUGIND_* and LISTEN_* are set by the daemon"},
    BadLine{"dialect = \"gopluin\"", "3:11: `dialect` is one of \"native\", \"go-plugin\", not \"gopluin\"; did you mean \"go-plugin\"?"},
    BadLine{"start.mode = \"never\"", "3:14: `start.mode` is one of \"on-demand\", \"boot\", \"manual\", not \"never\""},
    BadLine{"stop.grace = 5", "3:14: `stop.grace` must be a duration with its unit, as text, not a number; for example \"500ms\""},
    BadLine{"start.timeout = \"1ms\"", "3:17: `start.timeout` must be from 10ms to 1h, not 1ms"},
    BadLine{"start.timeout = \"2h\"", "3:17: `start.timeout` must be from 10ms to 1h, not 2h"},
    BadLine{"calls.max_message = \"3GiB\"", "3:21: `calls.max_message` must be from 1KiB to 2GiB, not 3GiB"},
    BadLine{"calls.max_message = \"3MB\"", "3:21: `calls.max_message`: \"3MB\" is not a size: the unit \"MB\" is unknown; write it like \"512B\", \"64KiB\", \"512MiB\" or \"2GiB\""},
    BadLine{"calls.queue = 0", "3:15: `calls.queue` must be from 1 to 65536, not 0"},
    BadLine{"calls.queue = 1.5", "3:15: `calls.queue` must be a whole number, not a number with a fraction; for example 64"},
    BadLine{"calls.queue = true", "3:15: `calls.queue` must be a whole number, not true or false; for example 64"},
    BadLine{"calls.max_concurrent = 0", "3:24: `calls.max_concurrent` must be from 1 to 1048576, not 0"},
    BadLine{"calls.max_concurrent = 1048577", "3:24: `calls.max_concurrent` must be from 1 to 1048576, not 1048577"},
    BadLine{"calls.timeout_max = 5", "3:21: `calls.timeout_max` must be a duration with its unit, as text, not a number; for example \"5m\""},
    BadLine{"calls = { timeout = \"2s\", timeout_max = \"1s\" }", "3:11: `calls.timeout` is longer than `calls.timeout_max`"},
    BadLine{"access.users = \"ada\"", "3:16: `access.users` must be a list of names and numbers, not text; for example [\"alice\", 1000]"},
    BadLine{"access.users = [1.5]", "3:17: `access.users` must be a list of names and numbers, not a number with a fraction; for example [\"alice\", 1000]"},
    BadLine{"access.users = [-1]", "3:17: `access.users` must be from 0 to 4294967294, not -1"},
    BadLine{"access.groups = [4294967295]", "3:18: `access.groups` must be from 0 to 4294967294, not 4294967295"},
    BadLine{"access.groups = [\"\"]", "3:18: `access.groups`: \"\" is no group of this system"},
    BadLine{"access.owner = 1", "3:8: unknown key `access.owner`; did you mean `access.users`?"},
    BadLine{"crashes.keep = 101", "3:16: `crashes.keep` must be from 0 to 100, not 101"},
    BadLine{"output.file_size = \"63KiB\"", "3:20: `output.file_size` must be from 64KiB to 16384GiB, not 63KiB"},
    BadLine{"output.file_size = 10", "3:20: `output.file_size` must be a size with its unit, as text, not a number; for example \"100MiB\""},
    BadLine{"output.files = 101", "3:16: `output.files` must be from 0 to 100, not 101"},
    BadLine{"output.file = 1", "3:8: unknown key `output.file`; did you mean `output.files`?"},
    BadLine{"restart.limit = -1", "3:17: `restart.limit` must be from 0 to 1000, not -1"},
    BadLine{"restart.backoff = \"1m\"", "3:9: `restart.backoff` is longer than `restart.backoff_max`"},
    BadLine{"services = [\"a.B\", \"a.B\"]", "3:20: `services`: \"a.B\" stands twice"},
    BadLine{"services = [\"/a.B\"]", "3:13: `services`: \"/a.B\" is not a service name like \"package.Service\""},
    BadLine{"services = [\"a..B\"]", "3:13: `services`: \"a..B\" is not a service name like \"package.Service\""},
    BadLine{"version = \"1 2\"", "3:11: `version`: \"1 2\" has a space, a control character or a letter outside ASCII"},
    BadLine{"working_directory = \"\"", "3:21: `working_directory`: \"\" is empty"},
    BadLine{"go-plugin.protocol_versions = [1]", "3:11: `go-plugin.protocol_versions` needs dialect = \"go-plugin\""},
    BadLine{"scope = \"host\"\ninstances = 2", "4:1: `instances` needs scope = \"shared\""},
    BadLine{"instances = 65", "3:13: `instances` must be from 1 to 64, not 65"},
    BadLine{"spares = 1", "3:1: `spares` needs scope = \"host\" or scope = \"connection\""},
    BadLine{"scope = \"host\"\nmax_instances = 2\nspares = 3", "5:1: `spares` is more than `max_instances` allows"},
    BadLine{"start.timeout_max = \"30s\"", "3:7: `start.timeout_max` is less than `start.timeout`"},
    BadLine{"dialect = \"go-plugin\"\ngo-plugin.protocol_versions = []", "4:31: `go-plugin.protocol_versions` takes 1 to 64 items, not 0; for example [5, 6]"},
    BadLine{"dialect = \"go-plugin\"\ngo-plugin.protocol_versions = [-1]", "4:32: `go-plugin.protocol_versions` must be from 0 to 2147483647, not -1"},
    BadLine{"dialect = \"go-plugin\"\ngo-plugin.cookie_key = \"A\"", "4:11: `go-plugin.cookie_key` and `go-plugin.cookie_value` go together"},
    BadLine{"dialect = \"go-plugin\"\nenv.A = \"b\"\ngo-plugin = { cookie_key = \"A\", cookie_value = \"b\" }", "5:15: `go-plugin.cookie_key` is set in `env`, too; leave one of them out"}));
// clang-format on

TEST(ManifestTest, NamesAreChecked) {
  for (std::string_view name : {"", "Kv", "-kv", "kv/x", "kv@1", "k v", "k\\u00e4"}) {
    const std::string text = "command = [\"x\"]\nname = \"" + std::string(name) + "\"";
    EXPECT_NE(mistakes(text).find("kv.toml:2:8: `name`:"), std::string::npos) << mistakes(text);
  }
  EXPECT_NE(mistakes("command = [\"x\"]\nname = \"" + std::string(64, 'a') + "\""), "no mistake");
  EXPECT_EQ(parsed("command = [\"x\"]\nname = \"" + std::string(63, 'a') + "\"").name.size(), 63u);
}

TEST(ManifestTest, EmptyCommandsAreRefused) {
  EXPECT_EQ(mistakes("name = \"kv\"\ncommand = []"),
            "/etc/plugins.d/kv.toml:2:11: `command` takes 1 to 1024 items, not 0; for example "
            "[\"./kv-go-grpc\", \"--verbose\"]");
  EXPECT_EQ(mistakes("name = \"kv\"\ncommand = [\"\", \"x\"]"),
            "/etc/plugins.d/kv.toml:2:1: `command`: the program is empty");
}

TEST(ManifestTest, TheSizeIsBounded) {
  std::string text(kMinimal);
  text.resize(1 << 20, '\n');
  parsed(text);
  EXPECT_EQ(mistakes(text + "\n"), "/etc/plugins.d/kv.toml:1:1: the file is larger than 1 MiB");
}

// Each of these would overflow the stack of a parser that takes its tree apart recursively.
TEST(ManifestTest, TheDepthIsBounded) {
  std::string dotted = "a";
  while (dotted.size() < 900'000) dotted += ".a";
  EXPECT_EQ(mistakes(dotted + " = 1"), "/etc/plugins.d/kv.toml:1:66: a key has more than 32 dots");
  EXPECT_NE(mistakes("[" + dotted + "]"), "no mistake");
  EXPECT_NE(mistakes("a = " + std::string(900'000, '[')), "no mistake");
  EXPECT_NE(mistakes("x = { " + dotted + " = 1 }"), "no mistake");
  parsed(std::string(kMinimal) + "# " + std::string(100, '.'));
}

// The table and the struct both know the defaults; they must agree.
TEST(ManifestTest, DefaultsOfTheTableAreThoseOfTheStruct) {
  for (const ManifestKey& key : manifest_keys()) {
    if (key.default_value.empty()) continue;
    std::string text =
        std::string(kMinimal) + std::string(key.name) + " = " + std::string(key.default_value);
    Manifest expected = parsed(kMinimal);
    if (key.name.starts_with("go-plugin.")) {
      text += "\ndialect = \"go-plugin\"";
      text = text.substr(0, kMinimal.size()) + "dialect = \"go-plugin\"\n" + std::string(key.name) +
             " = " + std::string(key.default_value);
      expected = parsed(std::string(kMinimal) + "dialect = \"go-plugin\"");
    }
    EXPECT_EQ(parsed(text), expected) << key.name;
  }
}

TEST(ManifestTest, ExamplesOfTheTableAreValid) {
  std::string text = "dialect = \"go-plugin\"\n";
  for (const ManifestKey& key : manifest_keys()) {
    // env's example is the cookie, again; stop.steps takes the place of stop.grace, and instances
    // are of shared plugins, as spares are not.
    if (key.name == "dialect" || key.name == "env") continue;
    if (key.name == "stop.steps" || key.name == "instances") continue;
    text += std::string(key.name) + " = " + std::string(key.example) + "\n";
  }
  const auto anybody = [](const std::string&) {
    return std::expected<std::uint32_t, std::string>(7);
  };
  const auto manifest = parse_manifest(text, "/kv.toml", {.user = anybody, .group = anybody});
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->go_plugin.cookie_value, "hello");
  EXPECT_EQ(parsed(std::string(kMinimal) + "env = { BASIC_PLUGIN = \"hello\" }").env.size(), 1u);
  EXPECT_EQ(parsed(std::string(kMinimal) + "instances = 4").instances, 4u);
  const auto steps = std::ranges::find(manifest_keys(), "stop.steps", &ManifestKey::name);
  EXPECT_FALSE(parsed(std::string(kMinimal) +
                      "dialect = \"go-plugin\"\nstop.steps = " + std::string(steps->example))
                   .stop_steps->empty());
}

}  // namespace
}  // namespace plugind::plugin
