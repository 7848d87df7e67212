#include "daemon/plugin/manifest_keys.h"

#include <algorithm>
#include <array>

namespace plugind::plugin {
namespace {

// clang-format off
constexpr std::array<std::pair<std::string_view, DialectKind>, 2> kDialects{{
    {"native", DialectKind::kNative}, {"go-plugin", DialectKind::kGoPlugin}}};
constexpr std::array<std::pair<std::string_view, StartMode>, 3> kStartModes{{
    {"on-demand", StartMode::kOnDemand}, {"boot", StartMode::kBoot}, {"manual", StartMode::kManual}}};
constexpr std::array<std::pair<std::string_view, RestartPolicy>, 3> kRestartPolicies{{
    {"never", RestartPolicy::kNever}, {"on-failure", RestartPolicy::kOnFailure}, {"always", RestartPolicy::kAlways}}};
constexpr std::array<std::pair<std::string_view, Scope>, 3> kScopes{{
    {"host", Scope::kHost}, {"connection", Scope::kConnection}, {"shared", Scope::kShared}}};
// clang-format on

std::string_view word_of(const auto& words, auto value) {
  for (const auto& [word, meaning] : words) {
    if (meaning == value) return word;
  }
  return "unknown";
}

std::vector<std::string_view> words_of(const auto& words) {
  std::vector<std::string_view> result;
  for (const auto& [word, meaning] : words) result.push_back(word);
  return result;
}

bool set_word(const auto& words, std::string_view text, auto& field) {
  for (const auto& [word, meaning] : words) {
    if (word != text) continue;
    field = meaning;
    return true;
  }
  return false;
}

bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool digit(char c) { return c >= '0' && c <= '9'; }
bool control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string name_problem(std::string_view text) {
  const bool good = !text.empty() && text.size() <= 63 && lower_or_digit(text[0]) &&
                    std::ranges::all_of(text, [](char c) {
                      return lower_or_digit(c) || c == '.' || c == '_' || c == '-';
                    });
  if (good) return "";
  return "is not a plugin name: it takes 1 to 63 of a-z, 0-9, '.', '_' and '-', and starts with a "
         "letter or a digit";
}

// A version travels in metadata ("NAME@VERSION"), so it is printable ASCII without spaces.
std::string version_problem(std::string_view text) {
  if (text.size() > 64) return "is longer than 64 characters";
  if (std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; })) return "";
  return "has a space, a control character or a letter outside ASCII";
}

std::string argument_problem(std::string_view text) {
  if (text.size() > 64 << 10) return "is longer than 64 KiB";
  return text.find('\0') == text.npos ? "" : "has a NUL character";
}

std::string path_problem(std::string_view text) {
  if (text.empty()) return "is empty";
  return argument_problem(text);
}

std::string service_problem(std::string_view text) {
  bool start = true;
  for (char c : text) {
    if (c == '.' && !start) {
      start = true;
      continue;
    }
    if (!letter(c) && c != '_' && (start || !digit(c)))
      return "is not a service name like \"package.Service\"";
    start = false;
  }
  if (start || text.size() > 512) return "is not a service name like \"package.Service\"";
  return "";
}

std::string variable_name_problem(std::string_view name) {
  if (name.empty()) return "an environment variable needs a name";
  if (name.find('=') != name.npos || std::ranges::any_of(name, control)) {
    return "an environment variable's name has no '=' and no control character";
  }
  if (name.starts_with("PLUGIND_") || name.starts_with("LISTEN_")) {
    return "PLUGIND_* and LISTEN_* are set by the daemon";
  }
  return "";
}

std::string variable_problem(std::string_view name, std::string_view value) {
  if (std::string problem = variable_name_problem(name); !problem.empty()) return problem;
  if (std::string problem = argument_problem(value); !problem.empty())
    return "its value " + problem;
  return "";
}

std::string sha256_problem(std::string_view text) {
  const bool good = text.size() == 64 && std::ranges::all_of(text, [](char c) {
                      return digit(c) || (c >= 'a' && c <= 'f');
                    });
  return good ? ""
              : "is not a SHA-256 checksum: it has 64 digits of 0-9 and a-f, as sha256sum prints "
                "them";
}

std::string inherited_name_problem(std::string_view text) {
  std::string problem = variable_name_problem(text);
  return problem.empty() ? "" : "is not a name to inherit: " + problem;
}

std::string cookie_key_problem(std::string_view text) {
  std::string problem = variable_name_problem(text);
  return problem.empty() ? "" : "is not a name: " + problem;
}

#define FIELD(type, name) [](Manifest& m) -> type& { return m.name; }
using Text = std::string;
using TextList = std::vector<std::string>;
using TextTable = std::map<std::string, std::string>;
using AccountList = std::vector<Account>;
using CountList = std::vector<std::uint32_t>;
using std::chrono::milliseconds;

std::vector<ManifestKey> build() {
  return {
      {.name = "name",
       .kind = TextKey{FIELD(Text, name), name_problem},
       .required = true,
       .example = "\"kv\"",
       .doc = "What hosts and operators call the plugin: 1 to 63 of `a-z`, `0-9`, `.`, `_`, `-`, "
              "starting with a letter or a digit. It names the plugin socket, too."},
      {.name = "version",
       .kind = TextKey{FIELD(Text, version), version_problem},
       .default_value = "\"\"",
       .example = "\"1.2.0\"",
       .doc = "Any text without spaces. A host that calls `NAME@VERSION` is refused if another "
              "version is registered. Of one name there is one version at a time."},
      {.name = "dialect",
       .kind = ChoiceKey{words_of(kDialects),
                         [](Manifest& m, std::string_view text) {
                           return set_word(kDialects, text, m.dialect);
                         }},
       .default_value = "\"native\"",
       .example = "\"go-plugin\"",
       .doc = "How an instance is started and greeted; see [dialects](dialects.md)."},
      {.name = "command",
       .kind = TextListKey{FIELD(TextList, command), 1, 1024, false, argument_problem},
       .required = true,
       .example = "[\"./kv-go-grpc\", \"--verbose\"]",
       .doc = "The program and its arguments; no shell reads them. A program with a slash is "
              "relative to the manifest's directory, one without is looked up in `PATH` when an "
              "instance starts."},
      {.name = "sha256",
       .kind = TextKey{FIELD(Text, sha256), sha256_problem},
       .example = "\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
       .doc = "The SHA-256 checksum of the program. Another program is not started; see "
              "[isolation](#isolation)."},
      {.name = "requires",
       .kind = RequirementsKey{FIELD(std::vector<Requirement>, requirements), 32},
       .default_value = "[]",
       .example = "[{ command = [\"java\", \"-version\"], version = \"17\", hint = \"Install Java "
                  "17.\" }]",
       .doc = "What has to be on the machine, checked before the first start and after a failure; "
              "see [requirements](#requirements)."},
      {.name = "working_directory",
       .kind = TextKey{[](Manifest& m) -> Text& { return m.working_directory; }, path_problem},
       .example = "\".\"",
       .doc = "Where the program runs; relative to the manifest's directory. If absent, in the "
              "instance's own directory, which is removed with the instance."},
      {.name = "env",
       .kind = TextTableKey{FIELD(TextTable, env), 1024, variable_problem},
       .default_value = "{}",
       .example = "{ BASIC_PLUGIN = \"hello\" }",
       .doc = "Variables added to the environment that every plugin gets; see "
              "[dialects](dialects.md#environment)."},
      {.name = "env_allow",
       .kind = TextListKey{FIELD(TextList, env_allow), 0, 1024, true, inherited_name_problem},
       .default_value = "[]",
       .example = "[\"JAVA_HOME\", \"HTTPS_PROXY\"]",
       .doc = "More variables of the daemon's own environment that the plugin gets, where they are "
              "set; see [dialects](dialects.md#environment)."},
      {.name = "user",
       .kind = RunAsKey{"user",
                        [](const AccountLookup& l) -> const AccountLookup::Function& {
                          return l.user;
                        }},
       .example = "\"kv\"",
       .doc = "The user that the plugin runs as, by name or uid; see [isolation](#isolation). If "
              "absent, the daemon's own."},
      {.name = "group",
       .kind = RunAsKey{"group",
                        [](const AccountLookup& l) -> const AccountLookup::Function& {
                          return l.group;
                        }},
       .example = "\"kv\"",
       .doc = "Its group, by name or gid. If absent, the primary group of `user`."},
      {.name = "umask",
       .kind = ModeKey{FIELD(std::optional<std::uint32_t>, umask)},
       .example = "\"0027\"",
       .doc = "Its file mode creation mask, in octal. If absent, the daemon's own."},
      {.name = "no_new_privs",
       .kind = FlagKey{FIELD(bool, no_new_privileges)},
       .example = "true",
       .doc = "The program and its children can gain no privileges, by setuid programs such as "
              "`sudo` for example. If absent, `true` with `user` or a sandbox and else "
              "`false`."},
      {.name = "services",
       .kind = TextListKey{FIELD(TextList, services), 0, 1024, true, service_problem},
       .default_value = "[]",
       .example = "[\"proto.KV\"]",
       .doc = "The gRPC services that the plugin has. With it, stubs on the front socket need not "
              "name the plugin."},
      {.name = "scope",
       .kind = ChoiceKey{words_of(kScopes),
                         [](Manifest& m, std::string_view text) {
                           return set_word(kScopes, text, m.scope);
                         }},
       .example = "\"host\"",
       .doc =
           "`host`: every host process gets an instance of its own. `connection`: every "
           "[connection](lifecycle.md#whose-instance) of a host does. `shared`: all hosts share "
           "one. If absent, `shared` for `native` and `host` for `go-plugin`, whose plugins keep "
           "their host's state."},
      {.name = "instances",
       .kind = CountKey{FIELD(std::uint32_t, instances), 1, 64},
       .default_value = "1",
       .example = "4",
       .doc = "With `scope = \"shared\"`: so many instances take the calls of all hosts, each call "
              "the one with the fewest; see [pools](lifecycle.md#pools)."},
      {.name = "spares",
       .kind = CountKey{FIELD(std::uint32_t, spares), 0, 256},
       .default_value = "0",
       .example = "1",
       .doc = "With `scope = \"host\"` or `\"connection\"`: so many instances are kept ready for "
              "hosts that come, once the plugin is in use; see [spares](lifecycle.md#spares)."},
      {.name = "max_instances",
       .kind = CountKey{FIELD(std::uint32_t, max_instances), 1, 65536},
       .default_value = "256",
       .example = "16",
       .doc =
           "With `scope = \"host\"` or `\"connection\"`: how many instances there may be at a "
           "time, "
           "spares and those that stop just now included. Calls of any further host are refused."},
      {.name = "start.mode",
       .kind = ChoiceKey{words_of(kStartModes),
                         [](Manifest& m, std::string_view text) {
                           return set_word(kStartModes, text, m.start_mode);
                         }},
       .default_value = "\"on-demand\"",
       .example = "\"boot\"",
       .doc = "`on-demand`: the first call starts it. `boot`: the daemon starts it with itself. "
              "`manual`: an operator starts it."},
      {.name = "start.timeout",
       .kind = DurationKey{FIELD(milliseconds, start_timeout), "10ms", "1h"},
       .default_value = "\"60s\"",
       .example = "\"10s\"",
       .doc = "How long an instance may take until it is ready for calls."},
      {.name = "start.timeout_max",
       .kind = DurationKey{FIELD(milliseconds, start_timeout_max), "0s", "24h"},
       .default_value = "\"0s\"",
       .example = "\"5m\"",
       .doc = "With it `start.timeout` counts from the last time that the instance printed "
              "something, and this is the longest that a start may take. `0s`: a start that prints "
              "gets no more time."},
      {.name = "health.interval",
       .kind = DurationKey{FIELD(milliseconds, health_interval), "0s", "24h"},
       .default_value = "\"0s\"",
       .example = "\"10s\"",
       .doc = "The pause between the health checks of an instance that is ready; see "
              "[health](lifecycle.md#health). `0s`: none are made."},
      {.name = "health.timeout",
       .kind = DurationKey{FIELD(milliseconds, health_timeout), "1ms", "1h"},
       .default_value = "\"5s\"",
       .example = "\"1s\"",
       .doc = "How long the answer to a health check may take."},
      {.name = "health.failures",
       .kind = CountKey{FIELD(std::uint32_t, health_failures), 1, 1000},
       .default_value = "3",
       .example = "1",
       .doc = "So many health checks failed in a row, and the instance is killed."},
      {.name = "stop.idle",
       .kind = DurationKey{FIELD(milliseconds, stop_idle), "0s", "24h"},
       .default_value = "\"0s\"",
       .example = "\"15m\"",
       .doc = "An instance that had no call for so long is stopped; the next call starts one. It "
              "may take up to a quarter longer. `0s`: it is not."},
      {.name = "stop.drain",
       .kind = DurationKey{FIELD(milliseconds, stop_drain), "0s", "24h"},
       .default_value = "\"5s\"",
       .example = "\"1m\"",
       .doc = "How long the calls in flight may go on when an instance is to stop, before it is "
              "asked to end; see [lifecycle](lifecycle.md#stop). New calls do not go to it."},
      {.name = "stop.grace",
       .kind = DurationKey{FIELD(milliseconds, stop_grace), "0s", "1h"},
       .default_value = "\"5s\"",
       .example = "\"500ms\"",
       .doc = "The time between the request to end (SIGTERM) and the end by force (SIGKILL)."},
      {.name = "stop.steps",
       .kind = StopStepsKey{FIELD(std::optional<std::vector<StopStep>>, stop_steps), 8},
       .example = "[{ action = \"SIGINT\", timeout = \"2s\" }, { action = \"SIGTERM\", timeout = "
                  "\"5s\" }]",
       .doc = "Instead of `stop.grace`: how an instance is made to end, in order, before SIGKILL; "
              "see [steps of a stop](#steps-of-a-stop)."},
      {.name = "stop.linger",
       .kind = DurationKey{FIELD(milliseconds, host_linger), "0s", "24h"},
       .default_value = "\"1s\"",
       .example = "\"10s\"",
       .doc = "With `scope = \"host\"`: how long an instance stays after its host's last "
              "connection closed."},
      {.name = "restart.policy",
       .kind = ChoiceKey{words_of(kRestartPolicies),
                         [](Manifest& m, std::string_view text) {
                           return set_word(kRestartPolicies, text, m.restart_policy);
                         }},
       .default_value = "\"on-failure\"",
       .example = "\"always\"",
       .doc =
           "When a plugin that all hosts share is started again by itself, once it was ready and "
           "its instance has ended: `never`, `on-failure` (any other end than exit code 0), or "
           "`always`. Whatever it says, the next call starts it."},
      {.name = "restart.backoff",
       .kind = DurationKey{FIELD(milliseconds, restart_backoff), "1ms", "24h"},
       .default_value = "\"100ms\"",
       .example = "\"1s\"",
       .doc = "The pause before the second restart in a row, as the first one has none; it doubles "
              "with each further one. By chance it is up to a quarter shorter."},
      {.name = "restart.backoff_max",
       .kind = DurationKey{FIELD(milliseconds, restart_backoff_max), "1ms", "24h"},
       .default_value = "\"30s\"",
       .example = "\"5m\"",
       .doc = "The longest such pause."},
      {.name = "restart.limit",
       .kind = CountKey{FIELD(std::uint32_t, restart_limit), 0, 1000},
       .default_value = "5",
       .example = "3",
       .doc = "So many failures within `restart.window`, and the plugin is not started again by "
              "itself. `0`: no limit."},
      {.name = "restart.window",
       .kind = DurationKey{FIELD(milliseconds, restart_window), "1s", "24h"},
       .default_value = "\"60s\"",
       .example = "\"10m\"",
       .doc = "The time in which failures are counted."},
      {.name = "upgrade.probation",
       .kind = DurationKey{FIELD(milliseconds, upgrade_probation), "0s", "24h"},
       .default_value = "\"10s\"",
       .example = "\"1m\"",
       .doc =
           "How long the version that ran before is kept in reserve by `pluginctl upgrade`. If an "
           "instance of the new one fails within that time, it takes the calls again; see "
           "[lifecycle](lifecycle.md#upgrade)."},
      {.name = "crashes.keep",
       .kind = CountKey{FIELD(std::uint32_t, crashes_keep), 0, 100},
       .default_value = "10",
       .example = "50",
       .doc = "Of how many crashes and failed starts `pluginctl crashes` tells, the last ones; see "
              "[crash reports](operations.md#crash-reports). `0`: of none."},
      {.name = "calls.timeout",
       .kind = DurationKey{FIELD(milliseconds, calls_timeout), "0s", "24h"},
       .default_value = "\"0s\"",
       .example = "\"30s\"",
       .doc =
           "How long a call may take whose caller sets no deadline. `0s`: as long as it wants, or "
           "`calls.timeout_max`."},
      {.name = "calls.timeout_max",
       .kind = DurationKey{FIELD(milliseconds, calls_timeout_max), "0s", "24h"},
       .default_value = "\"0s\"",
       .example = "\"5m\"",
       .doc = "The longest that any call may take. A caller who asks for more, or for no deadline, "
              "gets this. `0s`: no bound."},
      {.name = "calls.max_message",
       .kind = SizeKey{FIELD(std::uint64_t, calls_max_message), "1KiB", "2GiB"},
       .default_value = "\"256MiB\"",
       .example = "\"16MiB\"",
       .doc = "The largest message, of a request or of a reply."},
      {.name = "calls.max_concurrent",
       .kind = CountKey{FIELD(std::uint32_t, calls_max_concurrent), 1, 1'048'576},
       .default_value = "16384",
       .example = "100",
       .doc = "How many calls of the plugin may be in progress at a time, those of all hosts and "
              "those that wait for an instance together. One more is refused at once."},
      {.name = "calls.per_instance",
       .kind = CountKey{FIELD(std::uint32_t, calls_per_instance), 0, 65536},
       .default_value = "0",
       .example = "1",
       .doc = "How many calls one instance gets at a time. The others wait, and the oldest is the "
              "next. `0`: no bound."},
      {.name = "calls.queue",
       .kind = CountKey{FIELD(std::uint32_t, calls_queue), 1, 65536},
       .default_value = "1024",
       .example = "64",
       .doc = "How many calls may wait for an instance that is ready and takes them; with `scope = "
              "\"host\"`, of each host, and with `\"connection\"` of each connection. One more is "
              "refused at once."},
      {.name = "calls.queue_timeout",
       .kind = DurationKey{FIELD(milliseconds, calls_queue_timeout), "0s", "24h"},
       .default_value = "\"0s\"",
       .example = "\"2s\"",
       .doc = "How long a call may wait for that; then it is refused. `0s`: as long as its caller "
              "waits."},
      {.name = "output.file_size",
       .kind = SizeKey{FIELD(std::uint64_t, output.file_size), "64KiB", "16384GiB"},
       .default_value = "\"10MiB\"",
       .example = "\"100MiB\"",
       .doc =
           "How large a file with what the plugin prints may become before another is begun; see "
           "[output](operations.md#files-with-what-plugins-print). Without `--log-dir` of the "
           "daemon there are none."},
      {.name = "output.files",
       .kind = CountKey{FIELD(std::uint32_t, output.files), 0, 100},
       .default_value = "5",
       .example = "2",
       .doc = "How many such files there are at most, the current one included. `0`: none of this "
              "plugin."},
      {.name = "limits.memory",
       .kind = SizeKey{FIELD(std::uint64_t, limits.memory), "1MiB", "16384GiB"},
       .example = "\"512MiB\"",
       .doc = "The memory that an instance may use, all its processes together; see "
              "[limits](#limits)."},
      {.name = "limits.cpu",
       .kind = PercentKey{FIELD(std::uint32_t, limits.cpu), 1, 100'000},
       .example = "\"150%\"",
       .doc = "The processor time of an instance: `100%` is one processor all the time."},
      {.name = "limits.processes",
       .kind = CountKey{FIELD(std::uint32_t, limits.processes), 1, 4'194'304},
       .example = "64",
       .doc = "How many processes and threads an instance may have."},
      {.name = "limits.open_files",
       .kind = CountKey{FIELD(std::uint32_t, limits.open_files), 16, 1'048'576},
       .example = "1024",
       .doc = "How many descriptors each process of an instance may have open."},
      {.name = "limits.required",
       .kind = FlagKey{FIELD(bool, limits.required)},
       .default_value = "false",
       .example = "true",
       .doc = "The plugin does not start where one of its limits cannot be enforced. Else "
              "`pluginctl status` tells."},
      {.name = "sandbox.write_paths",
       .kind = TextListKey{[](Manifest& m) -> TextList& {
                             return m.sandbox.write_paths ? *m.sandbox.write_paths
                                                          : m.sandbox.write_paths.emplace();
                           },
                           0, 256, true, path_problem},
       .example = "[\"/var/lib/kv\"]",
       .doc = "The plugin, and all that it starts, can write only below these paths and in the "
              "instance's own directory; see [the sandbox](#the-sandbox). Relative ones are "
              "relative to the manifest's directory. If absent, wherever its user may."},
      {.name = "sandbox.network",
       .kind = FlagKey{FIELD(bool, sandbox.network)},
       .default_value = "true",
       .example = "false",
       .doc = "`false`: the plugin, and all that it starts, have no network, only Unix sockets "
              "that have a path."},
      {.name = "access.users",
       .kind = AccountListKey{FIELD(AccountList, access.users), 1024, "user",
                              [](const AccountLookup& l) -> const AccountLookup::Function& {
                                return l.user;
                              }},
       .example = "[\"alice\", 1000]",
       .doc = "The users whose programs may call the plugin, by name or uid; see "
              "[access](#access). Without `access.users` and `access.groups` everybody may who can "
              "open the socket."},
      {.name = "access.groups",
       .kind = AccountListKey{FIELD(AccountList, access.groups), 1024, "group",
                              [](const AccountLookup& l) -> const AccountLookup::Function& {
                                return l.group;
                              }},
       .example = "[\"builders\", 100]",
       .doc = "The groups whose members' programs may call the plugin, by name or gid."},
      {.name = "go-plugin.cookie_key",
       .kind = TextKey{FIELD(Text, go_plugin.cookie_key), cookie_key_problem},
       .example = "\"BASIC_PLUGIN\"",
       .doc = "The environment variable by which the plugin knows that a host started it "
              "(`MagicCookieKey` in its source). The same may be said with `env`."},
      {.name = "go-plugin.cookie_value",
       .kind = TextKey{FIELD(Text, go_plugin.cookie_value), argument_problem},
       .example = "\"hello\"",
       .doc = "Its value (`MagicCookieValue`)."},
      {.name = "go-plugin.protocol_versions",
       .kind = CountListKey{FIELD(CountList, go_plugin.protocol_versions), 1, 64},
       .default_value = "[1]",
       .example = "[5, 6]",
       .doc = "The versions of the plugin's own protocol that its hosts speak (`ProtocolVersion`); "
              "the plugin picks one."},
  };
}
#undef FIELD

}  // namespace

std::string_view to_string(DialectKind kind) { return word_of(kDialects, kind); }
std::string_view to_string(StartMode mode) { return word_of(kStartModes, mode); }
std::string_view to_string(RestartPolicy policy) { return word_of(kRestartPolicies, policy); }
std::string_view to_string(Scope scope) { return word_of(kScopes, scope); }

std::span<const ManifestKey> manifest_keys() {
  static const std::vector<ManifestKey> keys = build();
  return keys;
}

}  // namespace plugind::plugin
