// The plugins, for a loop beside the one that owns them ("the home loop").  What is about an
// instance's life is asked there by messages; a call to an instance that is ready needs none, as
// this loop has a connection of its own to it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/forward/remote_plugin.h"
#include "daemon/plugin/call_target.h"
#include "daemon/plugin/service_index.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::forward {

/// Every registered plugin.  To be called on the home loop.
std::vector<PluginFacts> facts_of(const plugin::Supervisor& supervisor);

class RemotePlugins final : public plugin::CallTargets {
 public:
  /// `supervisor` is used on the home loop only.
  RemotePlugins(RemoteLoop loop, plugin::Supervisor& supervisor);

  /// What is registered now.
  void replace(const std::vector<PluginFacts>& plugins);
  /// The instance takes no more calls; those that are on it go on.
  void retire_instance(const std::string& plugin, const std::string& instance);

  std::shared_ptr<plugin::CallTarget> target(std::string_view name) const override;
  std::vector<std::shared_ptr<plugin::CallTarget>> declaring(
      std::string_view service) const override;
  Error not_found(const std::string& name) const override;
  void host_back(plugin::HostId host) override;
  void ask_serves(std::pair<plugin::HostId, plugin::HostId> hosts,
                  std::function<void(bool)> answer) override;

 private:
  const std::shared_ptr<const RemoteLoop> loop_;
  plugin::Supervisor& supervisor_;
  std::map<std::string, std::shared_ptr<RemotePlugin>, std::less<>> plugins_;
  mutable plugin::ServiceIndex services_;              // Of them; made when it is asked.
  std::vector<std::weak_ptr<RemotePlugin>> replaced_;  // Calls may still be on their instances.
};

}  // namespace plugind::forward
