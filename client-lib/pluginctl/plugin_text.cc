#include "client-lib/pluginctl/plugin_text.h"

#include <cstdio>

#include "client-lib/pluginctl/style.h"
#include "client-lib/pluginctl/table.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

template <class Values>
std::string joined(const Values& values, const char* separator) {
  std::string text;
  for (const auto& value : values) {
    if (!text.empty()) text += separator;
    if constexpr (std::is_convertible_v<decltype(value), std::string>) {
      text += value;
    } else {
      text += std::to_string(value);
    }
  }
  return text;
}

/// "  label:        value", nothing for an empty value.
void add(std::string& text, std::string_view label, const std::string& value) {
  constexpr std::size_t kColumn = 16;
  if (value.empty()) return;
  std::string line = "  " + std::string(label) + ":";
  line.append(line.size() < kColumn ? kColumn - line.size() : 1, ' ');
  text += line + value + "\n";
}

std::string dialect_text(const v1::Manifest& manifest) {
  std::string text = enum_text(v1::Dialect_Name(manifest.dialect()), "DIALECT_");
  if (manifest.has_go_plugin()) {
    text += ", cookie " + manifest.go_plugin().cookie_key() + ", protocol versions " +
            joined(manifest.go_plugin().protocol_versions(), ", ");
  }
  return text;
}

std::string limit_text(const v1::Manifest& manifest) {
  return ", given up after " + std::to_string(manifest.restart_limit()) + " failures within " +
         duration_text(manifest.restart_window());
}

std::string restart_text(const v1::Manifest& manifest) {
  return enum_text(v1::RestartPolicy_Name(manifest.restart_policy()), "RESTART_POLICY_") +
         ", after " + duration_text(manifest.restart_backoff()) + " up to " +
         duration_text(manifest.restart_backoff_max()) +
         (manifest.restart_limit() == 0 ? ", never given up" : limit_text(manifest));
}

std::string calls_text(const v1::Manifest& manifest) {
  std::string text =
      "timeout " +
      (manifest.has_calls_timeout() ? duration_text(manifest.calls_timeout()) : "none");
  if (manifest.has_calls_timeout_max()) {
    text += ", never over " + duration_text(manifest.calls_timeout_max());
  }
  return text + ", messages up to " + size_text(manifest.calls_max_message()) + ", at most " +
         std::to_string(manifest.calls_max_concurrent()) + " at a time" +
         (manifest.calls_per_instance() > 0
              ? " (" + std::to_string(manifest.calls_per_instance()) + " an instance)"
              : "") +
         " and " + std::to_string(manifest.calls_queue()) + " waiting" +
         (manifest.has_calls_queue_timeout()
              ? " for up to " + duration_text(manifest.calls_queue_timeout())
              : "");
}

std::string access_text(const v1::Manifest& manifest) {
  if (!manifest.has_access()) return "everybody";
  const v1::AccessList& access = manifest.access();
  std::string text;
  if (access.users_size() > 0) text = "users " + joined(access.users(), ", ");
  if (access.groups_size() > 0) {
    text += (text.empty() ? "groups " : "; groups ") + joined(access.groups(), ", ");
  }
  return text.empty() ? "root and the daemon's user only" : text;
}

/// What holds a limit, as the first running instance tells it; "" while none runs.
std::string holder_text(const v1::Plugin& plugin, const std::string& name) {
  for (const v1::Instance& instance : plugin.instances()) {
    for (const v1::HeldLimit& limit : instance.limits()) {
      if (limit.name() != name) continue;
      std::string text = " (";
      if (limit.holder() == v1::LIMIT_HOLDER_CONTROL_GROUP) text += "control group";
      if (limit.holder() == v1::LIMIT_HOLDER_PROCESS_LIMIT) text += "process limit";
      if (limit.holder() == v1::LIMIT_HOLDER_NOTHING) text += "NOT ENFORCED";
      return text + (limit.note().empty() ? "" : ": " + printable(limit.note())) + ")";
    }
  }
  return "";
}

void add_limits(std::string& text, const v1::Plugin& plugin) {
  if (!plugin.manifest().has_limits()) return;
  const v1::Limits& limits = plugin.manifest().limits();
  const auto line = [&](const char* label, const char* name, const std::string& value) {
    add(text, label, value + holder_text(plugin, name));
  };
  if (limits.memory() > 0) line("memory", "memory", "at most " + size_text(limits.memory()));
  if (limits.cpu_percent() > 0) {
    line("cpu", "cpu", "at most " + std::to_string(limits.cpu_percent()) + "%");
  }
  if (limits.processes() > 0) {
    line("processes", "processes", "at most " + std::to_string(limits.processes()));
  }
  if (limits.open_files() > 0) {
    line("open files", "open_files", "at most " + std::to_string(limits.open_files()));
  }
}

std::string user_text(const v1::Manifest& manifest) {
  std::string text;
  if (!manifest.user().empty()) text = manifest.user() + ", group " + manifest.group();
  const auto also = [&](const std::string& more) { text += (text.empty() ? "" : ", ") + more; };
  if (manifest.has_umask()) {
    char mask[8];
    std::snprintf(mask, sizeof(mask), "%04o", manifest.umask());
    also("umask " + std::string(mask));
  }
  if (manifest.no_new_privs()) also("no new privileges");
  return text;
}

std::string sandbox_text(const v1::Manifest& manifest) {
  const v1::Sandbox& sandbox = manifest.sandbox();
  std::string text;
  if (sandbox.read_only()) {
    text = "writes only to its own directory";
    if (sandbox.write_paths_size() > 0) text += " and " + joined(sandbox.write_paths(), ", ");
  }
  if (sandbox.no_network()) text += text.empty() ? "no network" : "; no network";
  return text;
}

/// How it is made to end.
std::string end_text(const v1::Manifest& manifest) {
  if (manifest.has_stop_grace()) {
    return "killed " + duration_text(manifest.stop_grace()) + " after being asked to end";
  }
  std::string text;
  for (const v1::StopStep& step : manifest.stop_steps()) {
    std::string action = v1::StopAction_Name(step.action());
    if (action.starts_with("STOP_ACTION_")) action.erase(0, sizeof("STOP_ACTION_") - 1);
    if (step.action() == v1::STOP_ACTION_ASK) action = "asked to end";
    text += action + " for " + duration_text(step.timeout()) + ", then ";
  }
  return text + "killed";
}

void add_manifest(std::string& text, const v1::Manifest& manifest) {
  add(text, "manifest", printable(manifest.file()));
  add(text, "command", printable(joined(manifest.command(), " ")));
  add(text, "sha256", printable(manifest.sha256()));
  for (const v1::Requirement& one : manifest.requirements()) {
    const std::string what = one.command().empty() ? one.file() : joined(one.command(), " ");
    add(text, "requires",
        printable(what +
                  (one.version().empty() ? "" : ", version " + one.version() + " or later")));
  }
  add(text, "directory", printable(manifest.working_directory()));
  add(text, "environment", printable(joined(manifest.env_names(), ", ")));
  add(text, "inherits", printable(joined(manifest.env_allow(), ", ")));
  add(text, "user", printable(user_text(manifest)));
  add(text, "sandbox", printable(sandbox_text(manifest)));
  add(text, "services", printable(joined(manifest.services(), ", ")));
  add(text, "dialect", printable(dialect_text(manifest)));
  add(text, "scope",
      enum_text(v1::Scope_Name(manifest.scope()), "SCOPE_") +
          (manifest.scope() != v1::SCOPE_SHARED
               ? (manifest.scope() == v1::SCOPE_HOST
                      ? ", kept " + duration_text(manifest.host_linger()) + " after its host, "
                      : ", ") +
                     std::to_string(manifest.spares()) + " spare, at most " +
                     std::to_string(manifest.max_instances()) + " instances"
           : manifest.instances() > 1 ? ", " + std::to_string(manifest.instances()) + " instances"
                                      : ""));
  add(text, "start",
      enum_text(v1::StartMode_Name(manifest.start_mode()), "START_MODE_") + ", ready within " +
          duration_text(manifest.start_timeout()) +
          (manifest.has_start_timeout_max()
               ? ", or " + duration_text(manifest.start_timeout_max()) + " while it prints"
               : ""));
  if (manifest.has_health_interval()) {
    add(text, "health",
        "asked every " + duration_text(manifest.health_interval()) + ", answers within " +
            duration_text(manifest.health_timeout()) + "; killed after " +
            std::to_string(manifest.health_failures()) + " failures in a row");
  }
  add(text, "stop",
      "calls may go on for " + duration_text(manifest.stop_drain()) + "; " + end_text(manifest) +
          (manifest.has_stop_idle() ? "; when idle for " + duration_text(manifest.stop_idle())
                                    : ""));
  add(text, "restart", restart_text(manifest));
  add(text, "calls", calls_text(manifest));
  add(text, "access", printable(access_text(manifest)));
}

std::string instances_text(const v1::Plugin& plugin, std::chrono::system_clock::time_point now,
                           bool colour) {
  Table table({"INSTANCE", "STATE", "SINCE", "PID", "HOST", "CALLS", "IN FLIGHT", "PROTOCOL", "CPU",
               "MEMORY", "PROCESSES", "CAUSE"});
  const auto number_text = [](auto number) {
    return number == 0 ? std::string("-") : std::to_string(number);
  };
  for (const v1::Instance& instance : plugin.instances()) {
    table.add({instance.id(), Cell(state_text(instance.state()), colour_of(instance.state())),
               age_text(instance.since(), now), number_text(instance.pid()),
               instance.spare() ? "spare" : number_text(instance.host_pid()),
               std::to_string(instance.calls()), std::to_string(instance.calls_in_flight()),
               number_text(instance.protocol_version()),
               instance.has_cpu_time() ? duration_text(instance.cpu_time()) : "-",
               instance.memory() > 0 ? size_text(instance.memory()) : "-",
               joined(instance.tree_pids(), ","), instance.cause()});
  }
  return table.text(colour, 2);
}

}  // namespace

std::string plugin_text(const v1::Plugin& plugin, std::chrono::system_clock::time_point now,
                        bool colour) {
  const v1::Manifest& manifest = plugin.manifest();
  std::string text = paint(printable(manifest.name()), Colour::kBold, colour);
  if (!manifest.version().empty()) text += " " + printable(manifest.version());
  text += "\n";
  std::string state = paint(state_text(plugin.state()), colour_of(plugin.state()), colour);
  if (plugin.since().seconds() != 0) {
    state += " since " + time_text(plugin.since()) + " (" + age_text(plugin.since(), now) + ")";
  }
  add(text, "state", state);
  add(text, "cause", printable(plugin.cause()));
  add(text, "socket", printable(plugin.socket()));
  add_manifest(text, manifest);
  add_limits(text, plugin);
  std::string output = plugin.output_file();
  if (!plugin.output_problem().empty()) output += " (NOT WRITTEN: " + plugin.output_problem() + ")";
  add(text, "output", printable(output));
  add(text, "starts",
      std::to_string(plugin.starts()) + ", of which " + std::to_string(plugin.failures()) +
          " failed or crashed");
  if (plugin.has_last_crash()) {
    const v1::CrashSummary& crash = plugin.last_crash();
    add(text, "last failure",
        time_text(crash.time()) + " (" + age_text(crash.time(), now) +
            "): " + printable(crash.message()));
    add(text, "crashes",
        std::to_string(plugin.crashes()) + " kept; see `pluginctl crashes " +
            printable(manifest.name()) + "`");
  } else {
    add(text, "last failure", printable(plugin.last_failure()));
  }
  add(text, "forwarded", std::to_string(plugin.calls()) + " calls");
  if (!plugin.instances().empty()) text += "\n" + instances_text(plugin, now, colour);
  return text;
}

}  // namespace plugind::pluginctl
