#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>

#include "client-lib/pluginctl/commands.h"
#include "client-lib/pluginctl/style.h"
#include "client-lib/pluginctl/table.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

std::string table_of(const v1::ListPluginsResponse& list, bool colour) {
  const auto now = std::chrono::system_clock::now();
  Table table(
      {"NAME", "VERSION", "DIALECT", "SCOPE", "STATE", "SINCE", "INSTANCES", "CALLS", "FAILURES"});
  for (const v1::Plugin& plugin : list.plugins()) {
    const v1::Manifest& manifest = plugin.manifest();
    const auto running = std::ranges::count_if(
        plugin.instances(), [](const v1::Instance& instance) { return instance.pid() != 0; });
    table.add({manifest.name(), manifest.version(),
               enum_text(v1::Dialect_Name(manifest.dialect()), "DIALECT_"),
               enum_text(v1::Scope_Name(manifest.scope()), "SCOPE_"),
               Cell(state_text(plugin.state()), colour_of(plugin.state())),
               age_text(plugin.since(), now), std::to_string(running),
               std::to_string(plugin.calls()),
               Cell(std::to_string(plugin.failures()),
                    plugin.failures() == 0 ? Colour::kNone : Colour::kYellow)});
  }
  return table.text(colour);
}

Result<> list(Session& session) {
  v1::ListPluginsResponse response;
  const auto status =
      session.control().ListPlugins(session.context(kPromptly).get(), {}, &response);
  if (!status.ok()) return result_of(status);
  if (session.json()) {
    session.print_json(response);
  } else if (response.plugins().empty()) {
    std::cout
        << "no plugin is registered; 'pluginctl version' says where manifests are read from\n";
  } else {
    std::cout << table_of(response, session.colour());
  }
  return {};
}

}  // namespace

void add_list(CLI::App& app, const Choose& choose) {
  app.add_subcommand("list", "Every registered plugin")->callback([choose] { choose(list); });
}

}  // namespace plugind::pluginctl
