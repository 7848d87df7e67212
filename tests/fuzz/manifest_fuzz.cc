// Whatever a manifest holds, it is parsed or has mistakes.  What is parsed can be written down and
// parsed again; a mistake has a place in the text and words that can be shown.
#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

#include "daemon/plugin/manifest_parser.h"
#include "tests/fuzz/input.h"

namespace {

using namespace plugind::plugin;

constexpr const char* kFile = "/plugins.d/x.toml";

std::string toml(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '"' || c == '\\') {
      char escape[7];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned char>(c));
      result += escape;
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string toml(const std::vector<std::string>& list) {
  std::string result = "[";
  for (const std::string& text : list) result += toml(text) + ",";
  return result + "]";
}

std::string toml(std::chrono::milliseconds duration) {
  return toml(std::to_string(duration.count()) + "ms");
}

std::string requirements(const std::vector<Requirement>& list) {
  std::string result = "[";
  for (const Requirement& one : list) {
    result += "{ hint = " + toml(one.hint);
    if (!one.file.empty()) result += ", file = " + toml(one.file);
    if (!one.command.empty()) {
      result += ", command = " + toml(one.command) + ", timeout = " + toml(one.timeout);
    }
    if (!one.version.empty()) result += ", version = " + toml(one.version);
    result += " },";
  }
  return result + "]";
}

std::string steps(const std::vector<StopStep>& list) {
  std::string result = "[";
  for (const StopStep& one : list) {
    result += "{ action = " + toml(one.signal ? to_string(*one.signal) : "ask") +
              ", timeout = " + toml(one.timeout) + " },";
  }
  return result + "]";
}

// A manifest that says everything that `m` says.
std::string written(const Manifest& m) {
  std::string text;
  const auto line = [&](std::string_view key, const std::string& value) {
    text += std::string(key) + " = " + value + "\n";
  };
  line("name", toml(m.name));
  line("version", toml(m.version));
  line("dialect", toml(to_string(m.dialect)));
  line("command", toml(m.command));
  if (!m.working_directory.empty()) line("working_directory", toml(m.working_directory));
  line("services", toml(m.services));
  line("scope", toml(to_string(m.scope)));
  line("start.mode", toml(to_string(m.start_mode)));
  line("start.timeout", toml(m.start_timeout));
  line("start.timeout_max", toml(m.start_timeout_max));
  line("health.interval", toml(m.health_interval));
  line("health.timeout", toml(m.health_timeout));
  line("health.failures", std::to_string(m.health_failures));
  line("stop.idle", toml(m.stop_idle));
  line("instances", std::to_string(m.instances));
  line("spares", std::to_string(m.spares));
  line("max_instances", std::to_string(m.max_instances));
  line("stop.drain", toml(m.stop_drain));
  if (m.stop_steps) {
    line("stop.steps", steps(*m.stop_steps));
  } else {
    line("stop.grace", toml(m.stop_grace));
  }
  line("stop.linger", toml(m.host_linger));
  line("restart.policy", toml(to_string(m.restart_policy)));
  line("restart.backoff", toml(m.restart_backoff));
  line("restart.backoff_max", toml(m.restart_backoff_max));
  line("restart.limit", std::to_string(m.restart_limit));
  line("restart.window", toml(m.restart_window));
  line("upgrade.probation", toml(m.upgrade_probation));
  line("crashes.keep", std::to_string(m.crashes_keep));
  line("output.file_size", toml(std::to_string(m.output.file_size) + "B"));
  line("output.files", std::to_string(m.output.files));
  line("calls.timeout", toml(m.calls_timeout));
  line("calls.timeout_max", toml(m.calls_timeout_max));
  line("calls.max_concurrent", std::to_string(m.calls_max_concurrent));
  line("calls.max_message", toml(std::to_string(m.calls_max_message) + "B"));
  line("calls.per_instance", std::to_string(m.calls_per_instance));
  line("calls.queue", std::to_string(m.calls_queue));
  line("calls.queue_timeout", toml(m.calls_queue_timeout));
  if (m.dialect == DialectKind::kGoPlugin) {
    if (!m.go_plugin.cookie_key.empty()) {
      line("go-plugin.cookie_key", toml(m.go_plugin.cookie_key));
      line("go-plugin.cookie_value", toml(m.go_plugin.cookie_value));
    }
    std::string versions;
    for (const std::uint32_t version : m.go_plugin.protocol_versions) {
      versions += std::to_string(version) + ",";
    }
    line("go-plugin.protocol_versions", "[" + versions + "]");
  }
  line("env_allow", toml(m.env_allow));
  line("no_new_privs", m.no_new_privileges ? "true" : "false");
  if (m.sandbox.write_paths) line("sandbox.write_paths", toml(*m.sandbox.write_paths));
  line("sandbox.network", m.sandbox.network ? "true" : "false");
  if (m.umask) {
    char mask[8];
    std::snprintf(mask, sizeof mask, "%04o", *m.umask);
    line("umask", toml(std::string_view(mask)));
  }
  if (m.run_as) {
    line("user", std::to_string(m.run_as->user.id));
    line("group", std::to_string(m.run_as->group.id));
  }
  if (!m.sha256.empty()) line("sha256", toml(m.sha256));
  const ResourceLimits& limits = m.limits;
  if (limits.memory > 0) line("limits.memory", toml(std::to_string(limits.memory) + "B"));
  if (limits.cpu > 0) line("limits.cpu", toml(std::to_string(limits.cpu) + "%"));
  if (limits.processes > 0) line("limits.processes", std::to_string(limits.processes));
  if (limits.open_files > 0) line("limits.open_files", std::to_string(limits.open_files));
  if (limits.required) line("limits.required", "true");
  line("requires", requirements(m.requirements));
  line("[env]", "");
  text.resize(text.rfind(" = "));
  text += "\n";
  for (const auto& [name, value] : m.env) line(toml(name), toml(value));
  return text;
}

void check(const Manifest& m) {
  REQUIRE(!m.name.empty() && m.name.size() <= 63 && m.name.find('/') == m.name.npos);
  REQUIRE(!m.command.empty() && !m.command.front().empty());
  for (const std::string& word : m.command) REQUIRE(word.find('\0') == word.npos);
  REQUIRE(m.working_directory.empty() || m.working_directory.front() == '/');
  REQUIRE(!m.go_plugin.protocol_versions.empty());
  if (m.sandbox.write_paths) {
    for (const std::string& path : *m.sandbox.write_paths) REQUIRE(path.front() == '/');
  }
  REQUIRE(m.no_new_privileges || !m.sandbox.any());
  REQUIRE(m.restart_backoff.count() > 0 && m.restart_backoff <= m.restart_backoff_max);
  for (const auto& [name, value] : m.env) {
    REQUIRE(!name.empty() && name.find('=') == name.npos && name.find('\0') == name.npos);
    REQUIRE(value.find('\0') == value.npos);
  }
  const std::string text = written(m);
  const auto again = parse_manifest_text(text, kFile);
  if (!again || again->manifest != m) std::fprintf(stderr, "written again:\n%s", text.c_str());
  REQUIRE(again && again->manifest == m);
}

void check(const std::vector<Mistake>& mistakes, std::string_view text) {
  REQUIRE(!mistakes.empty());
  const auto lines = static_cast<std::uint32_t>(std::ranges::count(text, '\n') + 1);
  std::uint32_t last = 0;
  for (const Mistake& mistake : mistakes) {
    REQUIRE(mistake.line >= 1 && mistake.line <= lines && mistake.column >= 1);
    REQUIRE(mistake.line >= last);
    last = mistake.line;
    REQUIRE(!mistake.text.empty() && mistake.text.size() < 2'000);
    REQUIRE(plugind::fuzz::is_fit_for_messages(mistake.text));
  }
}

// The values with units come from manifests only, and may stand there in any of these.
void check_quantities(std::string_view text) {
  if (const auto duration = parse_duration(text)) REQUIRE(duration->count() >= 0);
  const auto size = parse_size(text);
  if (size) REQUIRE(parse_size(std::to_string(*size) + "B").value() == *size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto parsed = parse_manifest_text(text, kFile)) {
    check(parsed->manifest);
  } else {
    check(parsed.error(), text);
  }
  if (size < 32) check_quantities(text);
  return 0;
}
