#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "client-lib/pluginctl/commands.h"
#include "client-lib/pluginctl/findings_text.h"
#include "client-lib/pluginctl/unreachable.h"

namespace plugind::pluginctl {
namespace {

/// It runs commands of plugins that have timeouts of their own.
constexpr std::chrono::minutes kDoctorBound{5};

/// Prints it.  What is wrong has been said then, so that the failure has no message.
Result<> tell(const Session& session, const v1::DiagnoseResponse& diagnosis,
              const std::string& plugin, ExitCode if_wrong) {
  if (session.json()) {
    session.print_json(diagnosis);
  } else {
    std::cout << findings_text(diagnosis, plugin, session.colour());
  }
  if (!has_errors(diagnosis)) return {};
  return std::unexpected(Failure{if_wrong, ""});
}

Result<> diagnose(Session& session, const std::string& name) {
  if (auto connected = session.connect(); !connected) {
    if (connected.error().exit != ExitCode::kNoDaemon) return connected;
    return tell(session, diagnose_silence(session.address(), session.address_given()), name,
                ExitCode::kNoDaemon);
  }
  v1::DiagnoseRequest request;
  request.set_name(name);
  v1::DiagnoseResponse response;
  const auto status =
      session.control().Diagnose(session.context(kDoctorBound).get(), request, &response);
  if (!status.ok()) return result_of(status);
  return tell(session, response, name, ExitCode::kFound);
}

}  // namespace

void add_doctor(CLI::App& app, const Choose& choose) {
  auto name = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("doctor", "Find what is wrong, and what to do about it");
  command->add_option("NAME", *name, "NAME or NAME@VERSION; all plugins and plugind without it");
  command->callback(
      [name, choose] { choose([name](Session& session) { return diagnose(session, *name); }); });
}

}  // namespace plugind::pluginctl
