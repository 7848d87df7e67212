// A plugin's manifest: what it is, how to start it, how to treat it.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/error.h"

namespace plugind::plugin {

enum class DialectKind { kNative, kGoPlugin };
enum class StartMode { kOnDemand, kBoot, kManual };
enum class RestartPolicy { kNever, kOnFailure, kAlways };
enum class Scope { kHost, kConnection, kShared };

/// What a step of stop.steps may send to every process of the tree.
enum class StopSignal { kTerminate, kInterrupt, kQuit, kHangup, kUser1, kUser2 };

std::string_view to_string(DialectKind kind);
std::string_view to_string(StartMode mode);
std::string_view to_string(RestartPolicy policy);
std::string_view to_string(Scope scope);
std::string_view to_string(StopSignal signal);  ///< "SIGTERM"

/// What only go-plugin's dialect needs; table `[go-plugin]` of the manifest.
struct GoPluginOptions {
  std::string cookie_key;                           ///< `go-plugin.cookie_key`
  std::string cookie_value;                         ///< `go-plugin.cookie_value`
  std::vector<std::uint32_t> protocol_versions{1};  ///< `go-plugin.protocol_versions`

  bool operator==(const GoPluginOptions&) const = default;
};

/// A user or a group of an access list.
struct Account {
  std::uint32_t id = 0;  ///< uid or gid
  std::string name;      ///< "" if the manifest gives the number.

  bool operator==(const Account&) const = default;
};

/// Who may call the plugin, besides root and the daemon's own user; table `[access]`.
struct AccessList {
  bool everybody = true;        ///< The manifest has neither of the two.
  std::vector<Account> users;   ///< `access.users`
  std::vector<Account> groups;  ///< `access.groups`

  bool operator==(const AccessList&) const = default;
};

/// What an instance may use of the machine; table `[limits]`.  0: no limit.
struct ResourceLimits {
  std::uint64_t memory = 0;      ///< `limits.memory`: bytes
  std::uint32_t cpu = 0;         ///< `limits.cpu`: percent of one processor
  std::uint32_t processes = 0;   ///< `limits.processes`
  std::uint32_t open_files = 0;  ///< `limits.open_files`: of each process
  bool required = false;         ///< `limits.required`: not started if something holds none here

  bool operator==(const ResourceLimits&) const = default;
};

/// What the plugin and all that it starts may not touch; table `[sandbox]`.
struct Sandbox {
  /// `sandbox.write_paths`: files are read-only but below these, which are absolute after parsing,
  /// and in the instance's own directory.  Absent: files are as they are.
  std::optional<std::vector<std::string>> write_paths;
  bool network = true;  ///< `sandbox.network`

  bool any() const { return write_paths || !network; }
  bool operator==(const Sandbox&) const = default;
};

/// Files that keep what the plugin prints, where the daemon has a directory for them; table
/// `[output]`.
struct OutputOptions {
  std::uint64_t file_size = 10ull << 20;  ///< `output.file_size`: bytes, then another is begun
  std::uint32_t files = 5;                ///< `output.files`: the current one included; 0: none

  bool operator==(const OutputOptions&) const = default;
};

/// Whom the plugin runs as: `user` and `group`, looked up when the manifest is read.
struct RunAs {
  Account user;
  Account group;
  std::vector<std::uint32_t> groups;  ///< The supplementary groups of the user.
  std::string login;                  ///< Its name; "" if the system has none for it.
  std::string home, shell;            ///< The same.

  bool operator==(const RunAs&) const = default;
};

/// Something that has to be on the machine; a table of the list `requires`.
struct Requirement {
  std::vector<std::string> command;           ///< `command`: ends with exit code 0; empty: none
  std::string version;                        ///< `version`: the lowest that it may print; "": any
  std::string file;                           ///< `file`: exists; absolute after parsing; "": none
  std::string hint;                           ///< `hint`: a sentence for the caller: what to do
  std::chrono::milliseconds timeout{10'000};  ///< `timeout`: of the command

  bool operator==(const Requirement&) const = default;
};

/// A step of a stop; a table of the list `stop.steps`.
struct StopStep {
  std::optional<StopSignal> signal;      ///< `action`; absent: "ask", the dialect's own request
  std::chrono::milliseconds timeout{0};  ///< `timeout`: then the next step is taken

  bool operator==(const StopStep&) const = default;
};

struct Manifest {
  std::filesystem::path file;  ///< Where it was read from; absolute.

  std::string name;     ///< `name`: [a-z0-9][a-z0-9._-]{0,62}
  std::string version;  ///< `version`: free text, "" if absent
  DialectKind dialect = DialectKind::kNative;
  std::vector<std::string> command;  ///< `command`: first is absolute after parsing, or found in
                                     ///< PATH when it has no slash
  std::string working_directory;     ///< `working_directory`: absolute after parsing; "" = the
                                     ///< instance's own directory
  std::map<std::string, std::string> env;
  std::vector<std::string> services;
  Scope scope = Scope::kShared;       ///< default: shared for native, host for go-plugin
  std::uint32_t instances = 1;        ///< `instances`: shared, all the same
  std::uint32_t spares = 0;           ///< `spares`: host-scoped, kept ready for hosts to come
  std::uint32_t max_instances = 256;  ///< `max_instances`: host-scoped, spares included

  StartMode start_mode = StartMode::kOnDemand;
  std::chrono::milliseconds start_timeout{60'000};  ///< `start.timeout`
  std::chrono::milliseconds start_timeout_max{
      0};  ///< `start.timeout_max`: for one that prints meanwhile; 0: start.timeout for all
  std::chrono::milliseconds health_interval{0};     ///< `health.interval`; 0: no health checks
  std::chrono::milliseconds health_timeout{5'000};  ///< `health.timeout`: of one check
  std::uint32_t health_failures = 3;       ///< `health.failures`: so many in a row and it is killed
  std::chrono::milliseconds stop_idle{0};  ///< `stop.idle`: without a call; 0: never
  std::chrono::milliseconds stop_drain{5'000};  ///< `stop.drain`: calls in flight go on so long
  std::chrono::milliseconds stop_grace{5'000};  ///< `stop.grace`: after SIGTERM, before SIGKILL
  /// `stop.steps`: instead of stop_grace; SIGKILL follows.  Absent: the usual steps.
  std::optional<std::vector<StopStep>> stop_steps;
  std::chrono::milliseconds host_linger{
      1'000};  ///< `stop.linger`: host-scoped, after its host's last connection closed

  RestartPolicy restart_policy = RestartPolicy::kOnFailure;
  std::chrono::milliseconds restart_backoff{
      100};  ///< `restart.backoff`: before the second restart in a row; doubles
  std::chrono::milliseconds restart_backoff_max{30'000};  ///< `restart.backoff_max`
  std::uint32_t restart_limit = 5;  ///< `restart.limit`: failures within the window (0: no limit) …
  std::chrono::milliseconds restart_window{
      60'000};  ///< `restart.window`: … before the crash loop is broken

  std::chrono::milliseconds upgrade_probation{10'000};  ///< `upgrade.probation`
  std::uint32_t crashes_keep = 10;  ///< `crashes.keep`: crash reports of plugins of this name

  std::chrono::milliseconds calls_timeout{
      0};  ///< `calls.timeout`: of calls whose caller sets none; 0 = none
  std::chrono::milliseconds calls_timeout_max{
      0};  ///< `calls.timeout_max`: of every call, whatever its caller asks for; 0 = no bound
  std::uint64_t calls_max_message = 256ull << 20;  ///< `calls.max_message`: requests and replies
  std::uint32_t calls_max_concurrent = 16'384;  ///< `calls.max_concurrent`: calls in progress, of
                                                ///< all hosts, the waiting ones included
  std::uint32_t calls_per_instance = 0;         ///< `calls.per_instance`: at a time; 0: no bound
  std::uint32_t calls_queue = 1024;  ///< `calls.queue`: calls that may wait for an instance
  std::chrono::milliseconds calls_queue_timeout{
      0};  ///< `calls.queue_timeout`: how long; 0: as long as their callers do

  AccessList access;
  GoPluginOptions go_plugin;

  OutputOptions output;
  ResourceLimits limits;
  std::optional<RunAs> run_as;         ///< Absent: the daemon's own user.
  std::optional<std::uint32_t> umask;  ///< `umask`; absent: the daemon's own
  std::vector<std::string> env_allow;  ///< `env_allow`: more names of the daemon's environment
  bool no_new_privileges = false;      ///< `no_new_privs`; default: true with `user` or a sandbox
  Sandbox sandbox;
  std::string sha256;  ///< `sha256`: 64 hexadecimal digits in lower case; "": any
  std::vector<Requirement> requirements;  ///< `requires`

  bool operator==(const Manifest&) const = default;
};

/// How the names in access lists become ids: the id, or what is wrong with the name ("is no user
/// of this system").  Left out, every name is wrong, and only numbers can be given.
struct AccountLookup {
  using Function =
      std::function<std::expected<std::uint32_t, std::string>(const std::string& name)>;
  Function user = {};
  Function group = {};
  /// All about a user: of that id, and of that name if it has one.  Without `group` its primary
  /// one.
  std::function<std::expected<RunAs, std::string>(const Account& user,
                                                  const std::optional<Account>& group)>
      run_as = {};
};

/// Parses the text of one manifest.  `file` is used for messages and to resolve relative commands.
/// The message of an Error lists every mistake, one a line: "FILE:LINE:COLUMN: what; did you mean
/// …?"
std::expected<Manifest, Error> parse_manifest(std::string_view text,
                                              const std::filesystem::path& file,
                                              const AccountLookup& accounts = {});

/// Reads every `*.toml` file of `directory`, in order of name.  All or nothing: the Error lists the
/// mistakes of all files, two files of one name included.  A directory that does not
/// exist is an Error, an empty one is not.
std::expected<std::vector<Manifest>, Error> load_manifests(const std::filesystem::path& directory,
                                                           const AccountLookup& accounts = {});

/// "500ms", "5s", "2m", "1h".  A number without a unit is an Error.
std::expected<std::chrono::milliseconds, Error> parse_duration(std::string_view text);
/// "512B", "64KiB", "512MiB", "2GiB".  A number without a unit is an Error.
std::expected<std::uint64_t, Error> parse_size(std::string_view text);

}  // namespace plugind::plugin
