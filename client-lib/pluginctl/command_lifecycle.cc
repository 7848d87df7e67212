#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "client-lib/pluginctl/commands.h"
#include "client-lib/pluginctl/style.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

/// Longer than any sensible start.timeout or stop.
constexpr std::chrono::minutes kLifecycleBound{5};
/// The longest upgrade.probation and start.timeout that a manifest may ask for.
constexpr std::chrono::minutes kUpgradeBound = std::chrono::hours{25};

template <class Request, class Response>
using Method = grpc::Status (v1::PluginHost::Stub::*)(grpc::ClientContext*, const Request&,
                                                      Response*);

template <class Request, class Response>
void add_one(CLI::App& app, const Choose& choose, const char* name, const char* help,
             Method<Request, Response> method, std::chrono::minutes bound = kLifecycleBound) {
  auto plugin = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("NAME", *plugin, "NAME or NAME@VERSION")->required();
  command->callback([plugin, choose, method, bound] {
    choose([plugin, method, bound](Session& session) -> Result<> {
      Request request;
      request.set_name(*plugin);
      Response response;
      const auto context = session.context(bound);
      const auto status = (session.control().*method)(context.get(), request, &response);
      if (!status.ok()) return result_of(status);
      if (session.json()) {
        session.print_json(response.plugin());
        return {};
      }
      const v1::InstanceState state = response.plugin().state();
      std::cout << printable(response.plugin().manifest().name()) << " is "
                << paint(state_text(state), colour_of(state), session.colour()) << "\n";
      return {};
    });
  });
}

}  // namespace

void add_lifecycle(CLI::App& app, const Choose& choose) {
  using Stub = v1::PluginHost::Stub;
  add_one<v1::StartPluginRequest, v1::StartPluginResponse>(
      app, choose, "start", "Start a plugin and wait until it is ready", &Stub::StartPlugin);
  add_one<v1::StopPluginRequest, v1::StopPluginResponse>(
      app, choose, "stop", "Stop a plugin and wait until nothing of it is left", &Stub::StopPlugin);
  add_one<v1::RestartPluginRequest, v1::RestartPluginResponse>(
      app, choose, "restart", "Stop a plugin, forget its failures and start it again",
      &Stub::RestartPlugin);
  add_one<v1::UpgradePluginRequest, v1::UpgradePluginResponse>(
      app, choose, "upgrade",
      "Exchange a plugin for what its manifest says now, without an outage, and wait for the end "
      "of its probation",
      &Stub::UpgradePlugin, kUpgradeBound);
}

}  // namespace plugind::pluginctl
