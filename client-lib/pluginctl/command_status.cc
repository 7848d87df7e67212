#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <memory>

#include "client-lib/pluginctl/commands.h"
#include "client-lib/pluginctl/plugin_text.h"

namespace plugind::pluginctl {
namespace {

Result<> show_status(Session& session, const std::string& name) {
  v1::GetPluginRequest request;
  request.set_name(name);
  v1::GetPluginResponse response;
  const auto status =
      session.control().GetPlugin(session.context(kPromptly).get(), request, &response);
  if (!status.ok()) return result_of(status);
  if (session.json()) {
    session.print_json(response.plugin());
  } else {
    std::cout << plugin_text(response.plugin(), std::chrono::system_clock::now(), session.colour());
  }
  return {};
}

}  // namespace

void add_status(CLI::App& app, const Choose& choose) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("status", "All about one plugin and its instances");
  command->add_option("NAME", *name, "NAME or NAME@VERSION")->required();
  command->callback(
      [name, choose] { choose([name](Session& session) { return show_status(session, *name); }); });
}

}  // namespace plugind::pluginctl
