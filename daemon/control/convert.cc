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

v1::Manifest to_proto(const plugin::Manifest& manifest) {
  v1::Manifest result;
  result.set_file(to_utf8(manifest.file.string()));
  result.set_name(to_utf8(manifest.name));
  result.set_version(to_utf8(manifest.version));
  result.set_dialect(to_proto(manifest.dialect));
  add_all(manifest.command, *result.mutable_command());
  for (const auto& [name, value] : manifest.env) result.add_env_names(to_utf8(name));
  add_all(manifest.services, *result.mutable_services());
  result.set_scope(to_proto(manifest.scope));
  result.set_start_mode(to_proto(manifest.start_mode));
  set(*result.mutable_start_timeout(), manifest.start_timeout);
  set(*result.mutable_stop_grace(), manifest.stop_grace);
  set(*result.mutable_host_linger(), manifest.host_linger);
  result.set_restart_policy(to_proto(manifest.restart_policy));
  set(*result.mutable_restart_backoff(), manifest.restart_backoff);
  set(*result.mutable_restart_backoff_max(), manifest.restart_backoff_max);
  result.set_restart_limit(manifest.restart_limit);
  set(*result.mutable_restart_window(), manifest.restart_window);
  if (manifest.calls_timeout.count() > 0) {
    set(*result.mutable_calls_timeout(), manifest.calls_timeout);
  }
  result.set_calls_max_message(manifest.calls_max_message);
  result.set_calls_queue(manifest.calls_queue);
  if (manifest.dialect == plugin::DialectKind::kGoPlugin) {
    v1::GoPluginOptions& options = *result.mutable_go_plugin();
    options.set_cookie_key(to_utf8(manifest.go_plugin.cookie_key));
    for (const std::uint32_t version : manifest.go_plugin.protocol_versions) {
      options.add_protocol_versions(version);
    }
  }
  return result;
}

v1::Instance to_proto(const plugin::InstanceStatus& instance) {
  v1::Instance result;
  result.set_id(to_utf8(instance.id));
  result.set_state(to_proto(instance.state));
  result.set_cause(to_utf8(instance.cause));
  set(*result.mutable_since(), instance.since);
  result.set_pid(instance.pid);
  for (const std::int64_t pid : instance.tree) result.add_tree_pids(pid);
  result.set_host_pid(instance.host_pid);
  result.set_calls(instance.calls);
  result.set_calls_in_flight(instance.calls_in_flight);
  result.set_protocol_version(instance.protocol_version);
  return result;
}

v1::Plugin to_proto(const plugin::PluginStatus& status) {
  v1::Plugin result;
  *result.mutable_manifest() = to_proto(status.manifest);
  result.set_state(to_proto(status.state));
  result.set_cause(to_utf8(status.cause));
  set(*result.mutable_since(), status.since);
  result.set_socket(to_utf8(status.socket));
  for (const plugin::InstanceStatus& instance : status.instances) {
    *result.add_instances() = to_proto(instance);
  }
  result.set_starts(status.starts);
  result.set_failures(status.failures);
  result.set_last_failure(to_utf8(status.last_failure));
  result.set_calls(status.calls);
  return result;
}

v1::LogLine to_proto(const plugin::LogLine& line) {
  v1::LogLine result;
  result.set_sequence(line.sequence);
  set(*result.mutable_time(), line.time);
  result.set_instance(to_utf8(line.instance));
  result.set_stream(line.stream == plugin::OutputStream::kStdout ? v1::OUTPUT_STREAM_STDOUT
                                                                 : v1::OUTPUT_STREAM_STDERR);
  result.set_text(to_utf8(line.text));
  result.set_truncated(line.truncated);
  return result;
}

v1::Event to_proto(const plugin::Event& event) {
  v1::Event result;
  result.set_sequence(event.sequence);
  set(*result.mutable_time(), event.time);
  result.set_kind(to_proto(event.kind));
  result.set_plugin(to_utf8(event.plugin));
  result.set_instance(to_utf8(event.instance));
  if (event.kind == plugin::Event::Kind::kState) result.set_state(to_proto(event.state));
  result.set_cause(to_utf8(event.cause));
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
