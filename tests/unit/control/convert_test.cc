#include "daemon/control/convert.h"

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace plugind::control {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::system_clock::time_point kTime{1'700'000'000s + 1'500'000ns};

std::string text_of(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  return text;
}

/// A field that to_proto forgets keeps its default, so every value here is another.
plugin::Manifest full_manifest() {
  plugin::Manifest manifest;
  manifest.file = "/etc/kv.toml";
  manifest.name = "kv";
  manifest.version = "1.2";
  manifest.dialect = plugin::DialectKind::kGoPlugin;
  manifest.command = {"/bin/kv", "-x"};
  manifest.working_directory = "/var/kv";
  manifest.env = {{"B", "secret"}, {"A", "secret"}};
  manifest.services = {"proto.KV"};
  manifest.scope = plugin::Scope::kHost;
  manifest.start_mode = plugin::StartMode::kManual;
  manifest.start_timeout = 1s;
  manifest.start_timeout_max = 18s;
  manifest.instances = 27;
  manifest.spares = 19;
  manifest.max_instances = 20;
  manifest.health_interval = 21s;
  manifest.health_timeout = 22s;
  manifest.health_failures = 23;
  manifest.stop_idle = 24s;
  manifest.stop_drain = 20s;
  using plugin::StopSignal;
  manifest.stop_steps = {
      {std::nullopt, 2s},       {StopSignal::kTerminate, 27s}, {StopSignal::kInterrupt, 28s},
      {StopSignal::kQuit, 29s}, {StopSignal::kHangup, 30s},    {StopSignal::kUser1, 31s},
      {StopSignal::kUser2, 32s}};
  manifest.upgrade_probation = 21s;
  manifest.host_linger = 3s;
  manifest.restart_policy = plugin::RestartPolicy::kAlways;
  manifest.restart_backoff = 4ms;
  manifest.restart_backoff_max = 5s;
  manifest.restart_limit = 6;
  manifest.restart_window = 7s;
  manifest.crashes_keep = 17;
  manifest.calls_timeout = 8s;
  manifest.calls_timeout_max = 9s;
  manifest.calls_max_message = 9;
  manifest.calls_per_instance = 28;
  manifest.calls_queue = 10;
  manifest.calls_queue_timeout = 29s;
  manifest.calls_max_concurrent = 11;
  manifest.access = {.everybody = false, .users = {{0, "ada"}, {1'000, ""}}, .groups = {{7, "g"}}};
  manifest.go_plugin.cookie_key = "KEY";
  manifest.go_plugin.cookie_value = "secret";
  manifest.go_plugin.protocol_versions = {11, 12};
  manifest.output = {.file_size = 25, .files = 26};
  manifest.limits = {.memory = 13, .cpu = 14, .processes = 15, .open_files = 16, .required = true};
  manifest.run_as.emplace();
  manifest.run_as->user = {1'001, "ada"};
  manifest.run_as->group = {1'002, ""};
  manifest.umask = 027;
  manifest.env_allow = {"JAVA_HOME"};
  manifest.no_new_privileges = true;
  manifest.sandbox = {.write_paths = std::vector<std::string>{"/var/kv", "/srv"}, .network = false};
  manifest.sha256 = "abc";
  manifest.requirements = {{.command = {"java", "-version"},
                            .version = "17",
                            .file = "",
                            .hint = "Install Java.",
                            .timeout = 3s},
                           {.command = {}, .version = "", .file = "/etc/x", .hint = "Make it."}};
  return manifest;
}

TEST(Convert, TellsAllOfAManifestButSecrets) {
  EXPECT_EQ(text_of(to_proto(full_manifest())), R"(file: "/etc/kv.toml"
name: "kv"
version: "1.2"
dialect: DIALECT_GO_PLUGIN
command: "/bin/kv"
command: "-x"
env_names: "A"
env_names: "B"
services: "proto.KV"
scope: SCOPE_HOST
start_mode: START_MODE_MANUAL
start_timeout {
  seconds: 1
}
host_linger {
  seconds: 3
}
restart_policy: RESTART_POLICY_ALWAYS
restart_backoff {
  nanos: 4000000
}
restart_backoff_max {
  seconds: 5
}
restart_limit: 6
restart_window {
  seconds: 7
}
calls_timeout {
  seconds: 8
}
calls_max_message: 9
calls_queue: 10
go_plugin {
  cookie_key: "KEY"
  protocol_versions: 11
  protocol_versions: 12
}
working_directory: "/var/kv"
calls_timeout_max {
  seconds: 9
}
calls_max_concurrent: 11
access {
  users: "ada"
  users: "1000"
  groups: "g"
}
limits {
  memory: 13
  cpu_percent: 14
  processes: 15
  open_files: 16
  required: true
}
user: "ada"
group: "1002"
umask: 23
env_allow: "JAVA_HOME"
no_new_privs: true
sha256: "abc"
requirements {
  command: "java"
  command: "-version"
  version: "17"
  hint: "Install Java."
  timeout {
    seconds: 3
  }
}
requirements {
  file: "/etc/x"
  hint: "Make it."
}
stop_drain {
  seconds: 20
}
upgrade_probation {
  seconds: 21
}
crashes_keep: 17
spares: 19
max_instances: 20
stop_idle {
  seconds: 24
}
output_file_size: 25
output_files: 26
health_interval {
  seconds: 21
}
health_timeout {
  seconds: 22
}
health_failures: 23
start_timeout_max {
  seconds: 18
}
stop_steps {
  action: STOP_ACTION_ASK
  timeout {
    seconds: 2
  }
}
stop_steps {
  action: STOP_ACTION_SIGTERM
  timeout {
    seconds: 27
  }
}
stop_steps {
  action: STOP_ACTION_SIGINT
  timeout {
    seconds: 28
  }
}
stop_steps {
  action: STOP_ACTION_SIGQUIT
  timeout {
    seconds: 29
  }
}
stop_steps {
  action: STOP_ACTION_SIGHUP
  timeout {
    seconds: 30
  }
}
stop_steps {
  action: STOP_ACTION_SIGUSR1
  timeout {
    seconds: 31
  }
}
stop_steps {
  action: STOP_ACTION_SIGUSR2
  timeout {
    seconds: 32
  }
}
sandbox {
  read_only: true
  write_paths: "/var/kv"
  write_paths: "/srv"
  no_network: true
}
instances: 27
calls_per_instance: 28
calls_queue_timeout {
  seconds: 29
}
)");
}

TEST(Convert, TellsTheGraceOfAStopOrItsSteps) {
  plugin::Manifest manifest;
  manifest.stop_grace = 33s;
  EXPECT_EQ(to_proto(manifest).stop_grace().seconds(), 33);
  EXPECT_EQ(to_proto(manifest).stop_steps_size(), 0);
  manifest.stop_steps.emplace();
  EXPECT_FALSE(to_proto(manifest).has_stop_grace()) << "it is killed at once";
  EXPECT_EQ(to_proto(manifest).stop_steps_size(), 0);
}

TEST(Convert, LeavesOutWhatAManifestDoesNotHave) {
  const v1::Manifest manifest = to_proto(plugin::Manifest{});
  EXPECT_FALSE(manifest.has_calls_timeout());
  EXPECT_FALSE(manifest.has_calls_timeout_max());
  EXPECT_FALSE(manifest.has_access());
  EXPECT_FALSE(manifest.has_go_plugin());
  EXPECT_FALSE(manifest.has_limits());
  EXPECT_FALSE(manifest.has_umask());
  EXPECT_FALSE(manifest.has_sandbox());
  EXPECT_FALSE(manifest.has_stop_idle());
  EXPECT_FALSE(manifest.has_health_interval());
  EXPECT_FALSE(manifest.has_health_timeout());
  EXPECT_FALSE(manifest.has_start_timeout_max());
  EXPECT_EQ(manifest.user(), "");
}

TEST(Convert, TellsAllOfAPluginAndItsInstances) {
  plugin::InstanceStatus instance;
  instance.id = "kv#3";
  instance.state = plugin::InstanceState::kStopping;
  instance.cause = "asked \xFF";
  instance.since = kTime;
  instance.pid = 1;
  instance.tree = {1, 2};
  instance.host_pid = 3;
  instance.calls = 4;
  instance.calls_in_flight = 5;
  instance.protocol_version = 6;
  using Holder = plugin::HeldLimit::Holder;
  instance.limits = {{"memory", Holder::kControlGroup, ""},
                     {"open_files", Holder::kProcessLimit, "of each"},
                     {"cpu", Holder::kNothing, "why"}};
  instance.spare = true;
  instance.use = plugin::CurrentUse{.cpu_time = 1'500ms, .memory = 7};
  plugin::PluginStatus status;
  status.state = plugin::InstanceState::kBackoff;
  status.cause = "it failed";
  status.since = kTime;
  status.socket = "unix:/x";
  status.instances = {instance};
  status.starts = 7;
  status.failures = 8;
  status.last_failure = "badly";
  status.calls = 9;
  status.crashes = 10;
  status.last_crash = plugin::CrashSummary{kTime, "worse \xFF"};
  status.output_file = "/var/log/kv.log";
  status.output_problem = "it is full";
  v1::Plugin plugin = to_proto(status);
  plugin.clear_manifest();
  EXPECT_EQ(text_of(plugin), R"(state: INSTANCE_STATE_BACKOFF
cause: "it failed"
since {
  seconds: 1700000000
  nanos: 1500000
}
socket: "unix:/x"
instances {
  id: "kv#3"
  state: INSTANCE_STATE_STOPPING
  cause: "asked \357\277\275"
  since {
    seconds: 1700000000
    nanos: 1500000
  }
  pid: 1
  tree_pids: 1
  tree_pids: 2
  host_pid: 3
  calls: 4
  calls_in_flight: 5
  protocol_version: 6
  limits {
    name: "memory"
    holder: LIMIT_HOLDER_CONTROL_GROUP
  }
  limits {
    name: "open_files"
    holder: LIMIT_HOLDER_PROCESS_LIMIT
    note: "of each"
  }
  limits {
    name: "cpu"
    holder: LIMIT_HOLDER_NOTHING
    note: "why"
  }
  spare: true
  cpu_time {
    seconds: 1
    nanos: 500000000
  }
  memory: 7
}
starts: 7
failures: 8
last_failure: "badly"
calls: 9
crashes: 10
last_crash {
  time {
    seconds: 1700000000
    nanos: 1500000
  }
  message: "worse \357\277\275"
}
output_file: "/var/log/kv.log"
output_problem: "it is full"
)");
}

TEST(Convert, TellsAllOfACrash) {
  plugin::CrashReport report;
  report.number = 1;
  report.instance = "kv#3";
  report.version = "1.2";
  report.started = kTime;
  report.ended = kTime + 1s;
  report.ready_for = 900ms;
  report.reason = Reason::kPluginProtocolError;
  report.message = "it was killed";
  report.pid = 2;
  report.exit = plugin::ExitStatus{
      .code = {},
      .signal = 9,
      .memory_kill = plugin::MemoryKill::kOverLimit,
      .core_dumped = true,
      .core = {"/core", "there"},
      .use = plugin::ResourceUse{
          .user_time = 3us, .system_time = 4s, .peak_memory = 5, .peak_is_bound = true}};
  report.killed = true;
  report.stderr_tail = "one\n\ntwo \xFF";
  report.calls_lost = 6;
  report.calls = {{"/a.B/C", 7, 8ms}};
  EXPECT_EQ(text_of(to_proto(report)), R"(number: 1
instance: "kv#3"
version: "1.2"
start_time {
  seconds: 1700000000
  nanos: 1500000
}
end_time {
  seconds: 1700000001
  nanos: 1500000
}
ready_for {
  nanos: 900000000
}
reason: "PLUGIN_PROTOCOL_ERROR"
message: "it was killed"
pid: 2
signal: 9
exit: "signal 9 (SIGKILL), core dumped, out of memory"
killed: true
core_dumped: true
core_file: "/core"
core_note: "there"
use {
  user_time {
    nanos: 3000
  }
  system_time {
    seconds: 4
  }
  peak_memory: 5
  peak_is_bound: true
}
stderr_lines: "one"
stderr_lines: ""
stderr_lines: "two \357\277\275"
calls_lost: 6
calls {
  method: "/a.B/C"
  host_pid: 7
  age {
    nanos: 8000000
  }
}
memory_kill: MEMORY_KILL_OVER_LIMIT
)");
}

TEST(Convert, TellsNoExitOfACrashWithoutAProcess) {
  const v1::Crash crash = to_proto(plugin::CrashReport{});
  EXPECT_FALSE(crash.has_exit_code() || crash.has_signal() || crash.has_use() ||
               crash.has_ready_for());
  EXPECT_EQ(crash.exit(), "");
}

TEST(Convert, TellsAllOfALogLine) {
  plugin::LogLine line;
  line.sequence = 1;
  line.time = kTime;
  line.instance = "kv#1";
  line.stream = plugin::OutputStream::kStderr;
  line.text = "words";
  line.truncated = true;
  line.level = plugin::LogLevel::kError;
  line.continuation = true;
  EXPECT_EQ(text_of(to_proto(line)), R"(sequence: 1
time {
  seconds: 1700000000
  nanos: 1500000
}
instance: "kv#1"
stream: OUTPUT_STREAM_STDERR
text: "words"
truncated: true
level: LOG_LEVEL_ERROR
continuation: true
)");
}

TEST(Convert, EventsHaveAStateOnlyWhenTheyAreAboutOne) {
  plugin::Event event;
  event.sequence = 1;
  event.kind = plugin::Event::Kind::kState;
  event.state = plugin::InstanceState::kFailed;
  EXPECT_EQ(to_proto(event).state(), v1::INSTANCE_STATE_FAILED);
  event.kind = plugin::Event::Kind::kChanged;
  EXPECT_EQ(to_proto(event).state(), v1::INSTANCE_STATE_UNSPECIFIED);
  EXPECT_EQ(to_proto(event).kind(), v1::EVENT_KIND_CHANGED);
}

TEST(Convert, TellsAllOfADiagnosis) {
  using plugin::Severity;
  const Diagnosis diagnosis{{{Severity::kError, "program", "kv", "gone\xff", "install it"},
                             {Severity::kWarning, "limits", "kv", "", ""},
                             {Severity::kNote, "memory", "", "little", ""}},
                            7};
  EXPECT_EQ(text_of(to_proto(diagnosis)), R"(findings {
  severity: SEVERITY_ERROR
  check: "program"
  plugin: "kv"
  what: "gone\357\277\275"
  remedy: "install it"
}
findings {
  severity: SEVERITY_WARNING
  check: "limits"
  plugin: "kv"
}
findings {
  severity: SEVERITY_NOTE
  check: "memory"
  what: "little"
}
plugins: 7
)");
}

TEST(Convert, TimesBeforeTheEpochHavePositiveNanos) {
  plugin::LogLine line;
  line.time = std::chrono::system_clock::time_point(-1ns);
  EXPECT_EQ(to_proto(line).time().seconds(), -1);
  EXPECT_EQ(to_proto(line).time().nanos(), 999'999'999);
}

}  // namespace
}  // namespace plugind::control
