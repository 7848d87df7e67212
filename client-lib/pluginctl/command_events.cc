#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

#include "client-lib/pluginctl/commands.h"
#include "client-lib/pluginctl/style.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

void print(const v1::WatchEventsResponse& response, bool colour) {
  if (response.entry_case() == v1::WatchEventsResponse::kDropped) {
    std::cout << paint("-- " + std::to_string(response.dropped()) +
                           " events are missing here: they came faster than they were read --",
                       Colour::kYellow, colour)
              << std::endl;
    return;
  }
  const v1::Event& event = response.event();
  const bool of_state = event.kind() == v1::EVENT_KIND_STATE;
  std::cout << paint(exact_time_text(event.time()), Colour::kDim, colour) << " "
            << printable(event.instance().empty() ? event.plugin() : event.instance()) << " "
            << (of_state ? paint(state_text(event.state()), colour_of(event.state()), colour)
                         : enum_text(v1::EventKind_Name(event.kind()), "EVENT_KIND_"));
  if (!event.cause().empty()) std::cout << ": " << printable(event.cause());
  std::cout << std::endl;
}

Result<> show_events(Session& session, const std::string& plugin) {
  v1::WatchEventsRequest request;
  request.set_plugin(plugin);
  const auto context = session.context(std::nullopt);
  const auto reader = session.control().WatchEvents(context.get(), request);
  v1::WatchEventsResponse response;
  while (reader->Read(&response)) {
    if (session.json()) {
      session.print_json(response);
    } else {
      print(response, session.colour());
    }
  }
  return result_of(reader->Finish());
}

}  // namespace

void add_events(CLI::App& app, const Choose& choose) {
  auto plugin = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("events", "What happens to plugins, as it happens");
  command->add_option("NAME", *plugin, "Only events of this plugin");
  command->callback([plugin, choose] {
    choose([plugin](Session& session) { return show_events(session, *plugin); });
  });
}

}  // namespace plugind::pluginctl
