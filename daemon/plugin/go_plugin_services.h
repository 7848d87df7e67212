// The services that go-plugin's library itself has in every plugin, beside the plugin's own, and
// that its library in a host calls (hashicorp/go-plugin, internal/plugin/*.proto).
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace plugind::plugin {

/// What a host calls to say that it needs its plugin no more.
inline constexpr std::string_view kGoPluginController = "plugin.GRPCController";

inline constexpr std::array<std::string_view, 3> kGoPluginServices{
    "plugin.GRPCStdio", "plugin.GRPCBroker", kGoPluginController};

inline bool is_go_plugin_service(std::string_view service) {
  return std::ranges::find(kGoPluginServices, service) != kGoPluginServices.end();
}

}  // namespace plugind::plugin
