#include "daemon/forward/remote_plugins.h"

#include <utility>

namespace plugind::forward {

std::vector<PluginFacts> facts_of(const plugin::Supervisor& supervisor) {
  std::vector<PluginFacts> facts;
  for (const auto& plugin : supervisor.plugins()) {
    facts.push_back({plugin->shared_manifest(), plugin->calls(), plugin->places(), plugin});
  }
  return facts;
}

RemotePlugins::RemotePlugins(RemoteLoop loop, plugin::Supervisor& supervisor)
    : loop_(std::make_shared<const RemoteLoop>(std::move(loop))), supervisor_(supervisor) {}

void RemotePlugins::replace(const std::vector<PluginFacts>& plugins) {
  services_.changed();
  auto before = std::exchange(plugins_, {});
  for (const PluginFacts& facts : plugins) {
    const std::string& name = facts.manifest->name;
    const auto same = before.find(name);
    if (same != before.end() && same->second->shared_manifest() == facts.manifest) {
      plugins_.emplace(name, std::move(same->second));
    } else {
      plugins_.emplace(name, std::make_shared<RemotePlugin>(facts, loop_));
    }
  }
  std::erase_if(replaced_, [](const auto& plugin) { return plugin.expired(); });
  for (const auto& [name, plugin] : before) {
    if (plugin) replaced_.push_back(plugin);
  }
}

void RemotePlugins::retire_instance(const std::string& plugin, const std::string& instance) {
  const auto it = plugins_.find(plugin);
  if (it != plugins_.end()) it->second->retire_instance(instance);
  for (const auto& replaced : replaced_) {
    if (const auto before = replaced.lock()) before->retire_instance(instance);
  }
}

std::shared_ptr<plugin::CallTarget> RemotePlugins::target(std::string_view name) const {
  const auto [base, version] = plugin::split_version(name);
  const auto it = plugins_.find(base);
  if (it == plugins_.end()) return nullptr;
  if (!version.empty() && it->second->manifest().version != version) return nullptr;
  return it->second;
}

std::vector<std::shared_ptr<plugin::CallTarget>> RemotePlugins::declaring(
    std::string_view service) const {
  return services_.find(plugins_, service);
}

Error RemotePlugins::not_found(const std::string& name) const {
  return plugin::no_such_plugin(name, plugin::names_of(plugins_));
}

void RemotePlugins::host_back(plugin::HostId host) {
  loop_->home->post([&supervisor = supervisor_, host] { supervisor.host_back(host); });
}

void RemotePlugins::ask_serves(std::pair<plugin::HostId, plugin::HostId> hosts,
                               std::function<void(bool)> answer) {
  loop_->home->post(
      [&supervisor = supervisor_, here = loop_->here, hosts, answer = std::move(answer)] {
        supervisor.ask_serves(
            hosts, [&](bool serves) { here->post([answer, serves] { answer(serves); }); });
      });
}

}  // namespace plugind::forward
