#include "daemon/control/convert.h"

#include <algorithm>
#include <chrono>

#include "daemon/control/utf8.h"

namespace plugind::control {
namespace {

using std::chrono::duration_cast;
using std::chrono::nanoseconds;
using std::chrono::seconds;

void set(google::protobuf::Timestamp& to, std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<seconds>(time);
  to.set_seconds(whole.time_since_epoch().count());
  to.set_nanos(static_cast<std::int32_t>(duration_cast<nanoseconds>(time - whole).count()));
}

void set(google::protobuf::Duration& to, nanoseconds duration) {
  const auto whole = duration_cast<seconds>(duration);
  to.set_seconds(whole.count());
  to.set_nanos(static_cast<std::int32_t>((duration - whole).count()));
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
    case plugin::Scope::kConnection:
      return v1::SCOPE_CONNECTION;
    case plugin::Scope::kShared:
      return v1::SCOPE_SHARED;
  }
  return v1::SCOPE_UNSPECIFIED;
}

v1::StopAction to_proto(plugin::StopSignal signal) {
  switch (signal) {
    case plugin::StopSignal::kTerminate:
      return v1::STOP_ACTION_SIGTERM;
    case plugin::StopSignal::kInterrupt:
      return v1::STOP_ACTION_SIGINT;
    case plugin::StopSignal::kQuit:
      return v1::STOP_ACTION_SIGQUIT;
    case plugin::StopSignal::kHangup:
      return v1::STOP_ACTION_SIGHUP;
    case plugin::StopSignal::kUser1:
      return v1::STOP_ACTION_SIGUSR1;
    case plugin::StopSignal::kUser2:
      return v1::STOP_ACTION_SIGUSR2;
  }
  return v1::STOP_ACTION_UNSPECIFIED;
}

v1::MemoryKill to_proto(plugin::MemoryKill kill) {
  switch (kill) {
    case plugin::MemoryKill::kNone:
      break;
    case plugin::MemoryKill::kLikely:
      return v1::MEMORY_KILL_LIKELY;
    case plugin::MemoryKill::kOverLimit:
      return v1::MEMORY_KILL_OVER_LIMIT;
  }
  return v1::MEMORY_KILL_UNSPECIFIED;
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
    case plugin::InstanceState::kDraining:
      return v1::INSTANCE_STATE_DRAINING;
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

namespace {

v1::StopStep to_proto(const plugin::StopStep& step) {
  const auto& [signal, timeout] = step;
  v1::StopStep result;
  result.set_action(signal ? to_proto(*signal) : v1::STOP_ACTION_ASK);
  set(*result.mutable_timeout(), timeout);
  return result;
}

}  // namespace

v1::Manifest to_proto(const plugin::Manifest& manifest) {
  const auto& [file, name, version, dialect, command, working_directory, env, services, scope,
               instances, spares, max_instances, start_mode, start_timeout, start_timeout_max,
               health_interval, health_timeout, health_failures, stop_idle, stop_drain, stop_grace,
               stop_steps, host_linger, restart_policy, restart_backoff, restart_backoff_max,
               restart_limit, restart_window, upgrade_probation, crashes_keep, calls_timeout,
               calls_timeout_max, calls_max_message, calls_max_concurrent, calls_per_instance,
               calls_queue, calls_queue_timeout, access, go_plugin, output, limits, run_as, umask,
               env_allow, no_new_privileges, sandbox, sha256, requirements] = manifest;
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
  if (start_timeout_max.count() > 0) set(*result.mutable_start_timeout_max(), start_timeout_max);
  result.set_instances(instances);
  result.set_spares(spares);
  result.set_max_instances(max_instances);
  if (stop_idle.count() > 0) set(*result.mutable_stop_idle(), stop_idle);
  if (health_interval.count() > 0) {
    set(*result.mutable_health_interval(), health_interval);
    set(*result.mutable_health_timeout(), health_timeout);
    result.set_health_failures(health_failures);
  }
  set(*result.mutable_stop_drain(), stop_drain);
  set(*result.mutable_upgrade_probation(), upgrade_probation);
  if (stop_steps) {
    for (const plugin::StopStep& one : *stop_steps) *result.add_stop_steps() = to_proto(one);
  } else {
    set(*result.mutable_stop_grace(), stop_grace);
  }
  set(*result.mutable_host_linger(), host_linger);
  result.set_restart_policy(to_proto(restart_policy));
  set(*result.mutable_restart_backoff(), restart_backoff);
  set(*result.mutable_restart_backoff_max(), restart_backoff_max);
  result.set_restart_limit(restart_limit);
  set(*result.mutable_restart_window(), restart_window);
  result.set_crashes_keep(crashes_keep);
  if (calls_timeout.count() > 0) set(*result.mutable_calls_timeout(), calls_timeout);
  if (calls_timeout_max.count() > 0) set(*result.mutable_calls_timeout_max(), calls_timeout_max);
  result.set_calls_max_message(calls_max_message);
  result.set_calls_max_concurrent(calls_max_concurrent);
  result.set_calls_per_instance(calls_per_instance);
  result.set_calls_queue(calls_queue);
  if (calls_queue_timeout.count() > 0) {
    set(*result.mutable_calls_queue_timeout(), calls_queue_timeout);
  }
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
  result.set_output_file_size(output.file_size);
  result.set_output_files(output.files);
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
  if (sandbox.any()) {
    const auto& [write_paths, network] = sandbox;
    v1::Sandbox& box = *result.mutable_sandbox();
    box.set_read_only(write_paths.has_value());
    if (write_paths) add_all(*write_paths, *box.mutable_write_paths());
    box.set_no_network(!network);
  }
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
               protocol_version, limits, spare, use] = instance;
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
  result.set_spare(spare);
  if (use) {
    set(*result.mutable_cpu_time(), use->cpu_time);
    result.set_memory(use->memory);
  }
  for (const plugin::HeldLimit& limit : limits) {
    v1::HeldLimit& held = *result.add_limits();
    held.set_name(to_utf8(limit.name));
    held.set_holder(to_proto(limit.holder));
    held.set_note(to_utf8(limit.note));
  }
  return result;
}

v1::Plugin to_proto(const plugin::PluginStatus& status) {
  // Whether it is in a crash loop or held, Diagnose tells in words.
  const auto& [manifest, state, cause, since, socket, instances, starts, failures, last_failure,
               crash_loop, held, calls, crashes, last_crash, output_file, output_problem] = status;
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
  result.set_crashes(crashes);
  if (last_crash) {
    set(*result.mutable_last_crash()->mutable_time(), last_crash->time);
    result.mutable_last_crash()->set_message(to_utf8(last_crash->message));
  }
  result.set_output_file(to_utf8(output_file));
  result.set_output_problem(to_utf8(output_problem));
  return result;
}

v1::Crash to_proto(const plugin::CrashReport& report) {
  const auto& [number, instance, version, started, ended, ready_for, reason, message, pid, exit,
               killed, stderr_tail, calls_lost, calls] = report;
  v1::Crash result;
  result.set_number(number);
  result.set_instance(to_utf8(instance));
  result.set_version(to_utf8(version));
  set(*result.mutable_start_time(), started);
  set(*result.mutable_end_time(), ended);
  if (ready_for) set(*result.mutable_ready_for(), *ready_for);
  result.set_reason(std::string(reason_name(reason)));
  result.set_message(to_utf8(message));
  result.set_pid(pid);
  if (exit) {
    const auto& [code, signal, memory_kill, core_dumped, core, use] = *exit;
    if (code) result.set_exit_code(*code);
    if (signal) result.set_signal(*signal);
    result.set_exit(exit->describe());
    result.set_memory_kill(to_proto(memory_kill));
    result.set_core_dumped(core_dumped);
    result.set_core_file(to_utf8(core.file));
    result.set_core_note(to_utf8(core.note));
    if (use) {
      const auto& [user_time, system_time, peak_memory, peak_is_bound] = *use;
      v1::ResourceUse& used = *result.mutable_use();
      set(*used.mutable_user_time(), user_time);
      set(*used.mutable_system_time(), system_time);
      used.set_peak_memory(peak_memory);
      used.set_peak_is_bound(peak_is_bound);
    }
  }
  result.set_killed(killed);
  for (std::size_t from = 0; from < stderr_tail.size();) {
    const std::size_t end = std::min(stderr_tail.find('\n', from), stderr_tail.size());
    result.add_stderr_lines(to_utf8(std::string_view(stderr_tail).substr(from, end - from)));
    from = end + 1;
  }
  result.set_calls_lost(calls_lost);
  for (const plugin::LostCall& call : calls) {
    const auto& [method, host_pid, age] = call;
    v1::LostCall& lost = *result.add_calls();
    lost.set_method(to_utf8(method));
    lost.set_host_pid(host_pid);
    set(*lost.mutable_age(), age);
  }
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

v1::DiagnoseResponse to_proto(const Diagnosis& diagnosis) {
  v1::DiagnoseResponse result;
  for (const plugin::Finding& finding : diagnosis.findings) {
    const auto& [severity, check, plugin_name, what, remedy] = finding;
    v1::Finding& one = *result.add_findings();
    one.set_severity(severity == plugin::Severity::kError     ? v1::SEVERITY_ERROR
                     : severity == plugin::Severity::kWarning ? v1::SEVERITY_WARNING
                                                              : v1::SEVERITY_NOTE);
    one.set_check(check);
    one.set_plugin(to_utf8(plugin_name));
    one.set_what(to_utf8(what));
    one.set_remedy(to_utf8(remedy));
  }
  result.set_plugins(static_cast<std::uint32_t>(diagnosis.plugins));
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
