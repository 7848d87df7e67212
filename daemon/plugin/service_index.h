// Which plugins have a service, so that a call by service need not look at every plugin.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugin/call_target.h"
#include "daemon/plugin/go_plugin_services.h"

namespace plugind::plugin {

/// Belongs to a map of plugins by name, and is made from it when it is first asked after a change.
/// Lives on one loop.
class ServiceIndex {
 public:
  /// The map is about to change, or has just changed: forgets all plugins.
  void changed() { plugins_.reset(); }

  /// Those of `plugins` that have `service` ("package.Service"), by name: its manifest lists it, or
  /// it is one that every plugin of its dialect has.
  template <class Map>
  std::vector<std::shared_ptr<CallTarget>> find(const Map& plugins, std::string_view service) {
    if (!plugins_) make(plugins);
    const auto found = plugins_->find(service);
    if (found == plugins_->end()) return {};
    return found->second;
  }

 private:
  template <class Map>
  void make(const Map& plugins) {
    plugins_.emplace();
    for (const auto& [name, plugin] : plugins) {
      const auto add = [&](std::string_view service) {
        auto& having = (*plugins_)[std::string(service)];
        // A manifest may name it twice.
        if (having.empty() || having.back() != plugin) having.push_back(plugin);
      };
      for (const std::string& service : plugin->manifest().services) add(service);
      if (plugin->manifest().dialect == DialectKind::kGoPlugin) {
        for (const std::string_view service : kGoPluginServices) add(service);
      }
    }
  }

  std::optional<std::map<std::string, std::vector<std::shared_ptr<CallTarget>>, std::less<>>>
      plugins_;
};

}  // namespace plugind::plugin
