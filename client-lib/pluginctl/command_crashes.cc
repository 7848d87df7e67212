#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <memory>

#include "client-lib/pluginctl/commands.h"
#include "client-lib/pluginctl/crash_text.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

Result<> show_crashes(Session& session, const std::string& name) {
  v1::ListCrashesRequest request;
  request.set_name(name);
  v1::ListCrashesResponse response;
  const auto status =
      session.control().ListCrashes(session.context(kPromptly).get(), request, &response);
  if (!status.ok()) return result_of(status);
  if (session.json()) {
    session.print_json(response);
    return {};
  }
  if (response.crashes().empty()) std::cout << printable(name) << " has no crash reports\n";
  const auto now = std::chrono::system_clock::now();
  for (int i = 0; i < response.crashes_size(); ++i) {
    std::cout << (i == 0 ? "" : "\n") << crash_text(response.crashes(i), now, session.colour());
  }
  return {};
}

}  // namespace

void add_crashes(CLI::App& app, const Choose& choose) {
  auto name = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("crashes", "How a plugin's instances crashed or failed to start");
  command->add_option("NAME", *name, "NAME or NAME@VERSION")->required();
  command->callback([name, choose] {
    choose([name](Session& session) { return show_crashes(session, *name); });
  });
}

}  // namespace plugind::pluginctl
