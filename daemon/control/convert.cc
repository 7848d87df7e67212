#include "daemon/control/convert.h"

#include <chrono>

#include "daemon/control/utf8.h"

namespace plugind::control {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

void set(google::protobuf::Timestamp& to, std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<seconds>(time);
  to.set_seconds(whole.time_since_epoch().count());
  to.set_nanos(static_cast<std::int32_t>(duration_cast<nanoseconds>(time - whole).count()));
}

void set(google::protobuf::Duration& to, milliseconds duration) {
  const auto whole = duration_cast<seconds>(duration);
  to.set_seconds(whole.count());
  to.set_nanos(static_cast<std::int32_t>(nanoseconds(duration - whole).count()));
}

template <class Strings, class Field>
void add_all(const Strings& from, Field& to) {
  for (const std::string& one : from) to.Add(to_utf8(one));
}

// The switches below have no default, so that the compiler names an enumerator that lacks a case.

v1::Dialect to_proto(plugin::DialectKind kind) {
  switch (kind) {
    case plugin::DialectKind::kNative:
      return v1::DIALECT_NATIVE;
    case plugin::DialectKind::kGoPlugin:
      return v1::DIALECT_GO_PLUGIN;
  }
  return v1::DIALECT_UNSPECIFIED;
}

v1::StartMode to_proto(plugin::StartMode mode) {
  switch (mode) {
    case plugin::StartMode::kOnDemand:
      return v1::START_MODE_ON_DEMAND;
    case plugin::StartMode::kBoot:
      return v1::START_MODE_BOOT;
    case plugin::StartMode::kManual:
      return v1::START_MODE_MANUAL;
  }
  return v1::START_MODE_UNSPECIFIED;
}

v1::RestartPolicy to_proto(plugin::RestartPolicy policy) {
  switch (policy) {
    case plugin::RestartPolicy::kNever:
      return v1::RESTART_POLICY_NEVER;
    case plugin::RestartPolicy::kOnFailure:
      return v1::RESTART_POLICY_ON_FAILURE;
    case plugin::RestartPolicy::kAlways:
      return v1::RESTART_POLICY_ALWAYS;
  }
  return v1::RESTART_POLICY_UNSPECIFIED;
}

v1::Scope to_proto(plugin::Scope scope) {
  switch (scope) {
    case plugin::Scope::kHost:
      return v1::SCOPE_HOST;
    case plugin::Scope::kShared:
      return v1::SCOPE_SHARED;
  }
  return v1::SCOPE_UNSPECIFIED;
}

v1::LimitHolder to_proto(plugin::HeldLimit::Holder holder) {
  switch (holder) {
    case plugin::HeldLimit::Holder::kControlGroup:
      return v1::LIMIT_HOLDER_CONTROL_GROUP;
    case plugin::HeldLimit::Holder::kProcessLimit:
      return v1::LIMIT_HOLDER_PROCESS_LIMIT;
    case plugin::HeldLimit::Holder::kNothing:
      return v1::LIMIT_HOLDER_NOTHING;
  }
  return v1::LIMIT_HOLDER_UNSPECIFIED;
}

v1::LogLevel to_proto(plugin::LogLevel level) {
  switch (level) {
    case plugin::LogLevel::kNone:
      return v1::LOG_LEVEL_UNSPECIFIED;
    case plugin::LogLevel::kTrace:
      return v1::LOG_LEVEL_TRACE;
    case plugin::LogLevel::kDebug:
      return v1::LOG_LEVEL_DEBUG;
    case plugin::LogLevel::kInfo:
      return v1::LOG_LEVEL_INFO;
    case plugin::LogLevel::kWarn:
      return v1::LOG_LEVEL_WARN;
    case plugin::LogLevel::kError:
      return v1::LOG_LEVEL_ERROR;
    case plugin::LogLevel::kFatal:
      return v1::LOG_LEVEL_FATAL;
  }
  return v1::LOG_LEVEL_UNSPECIFIED;
}

v1::EventKind to_proto(plugin::Event::Kind kind) {
  switch (kind) {
    case plugin::Event::Kind::kRegistered:
      return v1::EVENT_KIND_REGISTERED;
    case plugin::Event::Kind::kRemoved:
      return v1::EVENT_KIND_REMOVED;
    case plugin::Event::Kind::kChanged:
      return v1::EVENT_KIND_CHANGED;
    case plugin::Event::Kind::kState:
      return v1::EVENT_KIND_STATE;
  }
  return v1::EVENT_KIND_UNSPECIFIED;
}

}  // namespace

v1::InstanceState to_proto(plugin::InstanceState state) {
  switch (state) {
    case plugin::InstanceState::kStarting:
      return v1::INSTANCE_STATE_STARTING;
    case plugin::InstanceState::kReady:
      return v1::INSTANCE_STATE_READY;
    case plugin::InstanceState::kStopping:
      return v1::INSTANCE_STATE_STOPPING;
    case plugin::InstanceState::kStopped:
      return v1::INSTANCE_STATE_STOPPED;
    case plugin::InstanceState::kBackoff:
      return v1::INSTANCE_STATE_BACKOFF;
    case plugin::InstanceState::kFailed:
      return v1::INSTANCE_STATE_FAILED;
  }
  return v1::INSTANCE_STATE_UNSPECIFIED;
}

std::string text_of(const plugin::Account& account) {
  return account.name.empty() ? std::to_string(account.id) : to_utf8(account.name);
}

// What follows takes the structures apart by name, so that a member more does not compile here.

v1::Manifest to_proto(const plugin::Manifest& manifest) {
  const auto& [file, name, version, dialect, command, working_directory, env, services, scope,
               start_mode, start_timeout, stop_grace, host_linger, restart_policy, restart_backoff,
               restart_backoff_max, restart_limit, restart_window, calls_timeout, calls_timeout_max,
               calls_max_message, calls_max_concurrent, calls_queue, access, go_plugin, limits,
               run_as, umask, env_allow, no_new_privileges, sha256, requirements] = manifest;
  v1::Manifest result;
  result.set_file(to_utf8(file.string()));
  result.set_name(to_utf8(name));
  result.set_version(to_utf8(version));
  result.set_dialect(to_proto(dialect));
  add_all(command, *result.mutable_command());
  result.set_working_directory(to_utf8(working_directory));
  for (const auto& variable : env) result.add_env_names(to_utf8(variable.first));
  add_all(services, *result.mutable_services());
  result.set_scope(to_proto(scope));
  result.set_start_mode(to_proto(start_mode));
  set(*result.mutable_start_timeout(), start_timeout);
  set(*result.mutable_stop_grace(), stop_grace);
  set(*result.mutable_host_linger(), host_linger);
  result.set_restart_policy(to_proto(restart_policy));
  set(*result.mutable_restart_backoff(), restart_backoff);
  set(*result.mutable_restart_backoff_max(), restart_backoff_max);
  result.set_restart_limit(restart_limit);
  set(*result.mutable_restart_window(), restart_window);
  if (calls_timeout.count() > 0) set(*result.mutable_calls_timeout(), calls_timeout);
  if (calls_timeout_max.count() > 0) set(*result.mutable_calls_timeout_max(), calls_timeout_max);
  result.set_calls_max_message(calls_max_message);
  result.set_calls_max_concurrent(calls_max_concurrent);
  result.set_calls_queue(calls_queue);
  const auto& [everybody, users, groups] = access;
  if (!everybody) {
    v1::AccessList& list = *result.mutable_access();
    for (const auto& user : users) list.add_users(text_of(user));
    for (const auto& group : groups) list.add_groups(text_of(group));
  }
  if (dialect == plugin::DialectKind::kGoPlugin) {
    const auto& [cookie_key, cookie_value, protocol_versions] = go_plugin;
    v1::GoPluginOptions& options = *result.mutable_go_plugin();
    options.set_cookie_key(to_utf8(cookie_key));
    for (const std::uint32_t one : protocol_versions) options.add_protocol_versions(one);
  }
  if (limits != plugin::ResourceLimits{}) {
    const auto& [memory, cpu, processes, open_files, required] = limits;
    v1::Limits& some = *result.mutable_limits();
    some.set_memory(memory);
    some.set_cpu_percent(cpu);
    some.set_processes(processes);
    some.set_open_files(open_files);
    some.set_required(required);
  }
  if (run_as) {
    result.set_user(text_of(run_as->user));
    result.set_group(text_of(run_as->group));
  }
  if (umask) result.set_umask(*umask);
  add_all(env_allow, *result.mutable_env_allow());
  result.set_no_new_privs(no_new_privileges);
  result.set_sha256(to_utf8(sha256));
  for (const plugin::Requirement& one : requirements) {
    const auto& [words, lowest, path, hint, timeout] = one;
    v1::Requirement& requirement = *result.add_requirements();
    add_all(words, *requirement.mutable_command());
    requirement.set_version(to_utf8(lowest));
    requirement.set_file(to_utf8(path));
    requirement.set_hint(to_utf8(hint));
    if (!words.empty()) set(*requirement.mutable_timeout(), timeout);
  }
  return result;
}

v1::Instance to_proto(const plugin::InstanceStatus& instance) {
  const auto& [id, state, cause, since, pid, tree, host_pid, calls, calls_in_flight,
               protocol_version, limits] = instance;
  v1::Instance result;
  result.set_id(to_utf8(id));
  result.set_state(to_proto(state));
  result.set_cause(to_utf8(cause));
  set(*result.mutable_since(), since);
  result.set_pid(pid);
  for (const std::int64_t one : tree) result.add_tree_pids(one);
  result.set_host_pid(host_pid);
  result.set_calls(calls);
  result.set_calls_in_flight(calls_in_flight);
  result.set_protocol_version(protocol_version);
  for (const plugin::HeldLimit& limit : limits) {
    v1::HeldLimit& held = *result.add_limits();
    held.set_name(to_utf8(limit.name));
    held.set_holder(to_proto(limit.holder));
    held.set_note(to_utf8(limit.note));
  }
  return result;
}

v1::Plugin to_proto(const plugin::PluginStatus& status) {
  const auto& [manifest, state, cause, since, socket, instances, starts, failures, last_failure,
               calls] = status;
  v1::Plugin result;
  *result.mutable_manifest() = to_proto(manifest);
  result.set_state(to_proto(state));
  result.set_cause(to_utf8(cause));
  set(*result.mutable_since(), since);
  result.set_socket(to_utf8(socket));
  for (const plugin::InstanceStatus& instance : instances) {
    *result.add_instances() = to_proto(instance);
  }
  result.set_starts(starts);
  result.set_failures(failures);
  result.set_last_failure(to_utf8(last_failure));
  result.set_calls(calls);
  return result;
}

v1::LogLine to_proto(const plugin::LogLine& line) {
  const auto& [sequence, time, instance, stream, text, truncated, level, continuation, head] = line;
  v1::LogLine result;
  result.set_sequence(sequence);
  set(*result.mutable_time(), time);
  result.set_instance(to_utf8(instance));
  result.set_stream(stream == plugin::OutputStream::kStdout ? v1::OUTPUT_STREAM_STDOUT
                                                            : v1::OUTPUT_STREAM_STDERR);
  result.set_text(to_utf8(text));
  result.set_truncated(truncated);
  result.set_level(to_proto(level));
  result.set_continuation(continuation);
  return result;
}

v1::Event to_proto(const plugin::Event& event) {
  const auto& [sequence, time, kind, plugin_name, instance, state, cause] = event;
  v1::Event result;
  result.set_sequence(sequence);
  set(*result.mutable_time(), time);
  result.set_kind(to_proto(kind));
  result.set_plugin(to_utf8(plugin_name));
  result.set_instance(to_utf8(instance));
  if (kind == plugin::Event::Kind::kState) result.set_state(to_proto(state));
  result.set_cause(to_utf8(cause));
  return result;
}

v1::ReloadManifestsResponse to_proto(const plugin::ReloadSummary& summary) {
  v1::ReloadManifestsResponse result;
  add_all(summary.added, *result.mutable_added());
  add_all(summary.removed, *result.mutable_removed());
  add_all(summary.changed, *result.mutable_changed());
  return result;
}

v1::DaemonInfo to_proto(const DaemonFacts& facts) {
  v1::DaemonInfo result;
  result.set_version(facts.version);
  result.set_pid(facts.pid);
  set(*result.mutable_start_time(), facts.start_time);
  result.set_socket(to_utf8(facts.socket));
  result.set_runtime_dir(to_utf8(facts.runtime_dir.string()));
  result.set_manifest_dir(to_utf8(facts.manifest_dir.string()));
  result.set_connections(facts.connections);
  result.set_resident_bytes(facts.resident_bytes);
  return result;
}

}  // namespace plugind::control
