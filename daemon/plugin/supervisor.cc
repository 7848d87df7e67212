#include "daemon/plugin/supervisor.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <iterator>
#include <set>
#include <utility>

#include "daemon/plugin/plugin.h"
#include "daemon/plugin/printable.h"
#include "daemon/plugin/service_index.h"
#include "daemon/plugin/upgrade.h"

namespace plugind::plugin {

namespace asio = boost::asio;

class Supervisor::Impl final : public Register {
 public:
  explicit Impl(Environment environment) : environment(std::move(environment)) {}

  std::shared_ptr<Plugin> find(std::string_view name) const {
    const auto [base, version] = split_version(name);
    const auto it = plugins.find(base);
    if (it == plugins.end()) return nullptr;
    if (!version.empty() && it->second->manifest().version != version) return nullptr;
    return it->second;
  }

  Error not_found(const std::string& name) const { return no_such_plugin(name, names_of(plugins)); }

  void publish(Event::Kind kind, const std::string& plugin, std::string cause) {
    Event event;
    event.kind = kind;
    event.time = environment.clock.wall_now();
    event.plugin = plugin;
    event.cause = std::move(cause);
    events.publish(std::move(event));
  }

  std::shared_ptr<Plugin> make(Manifest manifest, std::shared_ptr<PluginRecord> record) {
    return std::make_shared<Plugin>(environment, events, numbers, std::move(record),
                                    std::move(manifest));
  }

  /// The files of a name are as the manifest says that is registered, whoever prints.
  void open_output_file(const Plugin& plugin) {
    if (environment.output_files == nullptr) return;
    PluginRecord& record = *plugin.record();
    record.output_file = environment.output_files->open(plugin.manifest(), *record.log);
  }

  void add(Manifest manifest) {
    const std::string name = manifest.name;
    const auto before = find(name);
    const auto plugin =
        make(std::move(manifest),
             before ? before->record() : std::make_shared<PluginRecord>(environment.lanes));
    plugins[name] = plugin;
    services.changed();
    plugin->record()->crashes->keep(plugin->manifest().crashes_keep);
    open_output_file(*plugin);
    if (before) {
      plugin->succeed(*before, Plugin::HostsInstances::kNone);
      retire(before, "its manifest has changed");
    }
    if (is_draining || plugin->manifest().start_mode != StartMode::kBoot) return;
    plugin->start([](const std::expected<void, Error>&) {});
  }

  std::shared_ptr<Plugin> registered(const std::string& name) const override { return find(name); }

  void replace(const std::shared_ptr<Plugin>& plugin, const std::string& cause) override {
    std::erase_if(unregistered, [&](const auto& one) { return one.lock() == plugin; });
    plugins[plugin->name()] = plugin;
    services.changed();
    plugin->record()->crashes->keep(plugin->manifest().crashes_keep);
    open_output_file(*plugin);
    publish(Event::Kind::kChanged, plugin->name(), cause);
  }

  void keep(const std::shared_ptr<Plugin>& plugin) override {
    std::erase_if(unregistered, [&](const auto& one) {
      const auto living = one.lock();
      return !living || living == plugin;
    });
    unregistered.push_back(plugin);
  }

  bool draining() const override { return is_draining; }

  void retire(const std::shared_ptr<Plugin>& plugin, const std::string& cause) override {
    keep(plugin);
    plugin->retire(cause, [plugin, loop = environment.loop] {
      // Not destroyed from inside one of its own functions.
      asio::post(loop, [plugin] {});
    });
  }

  Environment environment;
  EventBus events;
  InstanceNumbers numbers;
  std::map<std::string, std::shared_ptr<Plugin>, std::less<>> plugins;
  ServiceIndex services;  // Of `plugins`.
  // Not registered any more, or not yet, and perhaps with instances.
  std::vector<std::weak_ptr<Plugin>> unregistered;
  std::set<std::string> upgrading;
  bool is_draining = false;

  PluginStatus status(const Plugin& plugin) const {
    PluginStatus status = plugin.status();
    for (const auto& one : unregistered) {
      const auto other = one.lock();
      if (!other || other->name() != plugin.name() || other.get() == &plugin) continue;
      std::ranges::move(other->status().instances, std::back_inserter(status.instances));
    }
    return status;
  }
};

Supervisor::Supervisor(Environment environment)
    : impl_(std::make_unique<Impl>(std::move(environment))) {}

Supervisor::~Supervisor() = default;

ReloadSummary Supervisor::apply(std::vector<Manifest> manifests) {
  ReloadSummary summary;
  std::map<std::string, Manifest> wanted;
  for (Manifest& manifest : manifests) {
    std::string name = manifest.name;
    wanted.insert_or_assign(std::move(name), std::move(manifest));
  }
  for (auto it = impl_->plugins.begin(); it != impl_->plugins.end();) {
    const auto plugin = it->second;
    const auto match = wanted.find(plugin->name());
    if (match == wanted.end()) {
      summary.removed.push_back(plugin->name());
      it = impl_->plugins.erase(it);
      impl_->services.changed();
      impl_->publish(Event::Kind::kRemoved, plugin->name(), "its manifest is gone");
      impl_->retire(plugin, "its manifest is gone");
      continue;
    }
    ++it;
    if (match->second == plugin->manifest()) {
      wanted.erase(match);
      continue;
    }
    summary.changed.push_back(plugin->name());
  }
  for (auto& [name, manifest] : wanted) {
    if (!impl_->plugins.contains(name)) {
      summary.added.push_back(name);
      impl_->publish(Event::Kind::kRegistered, name, "read from " + manifest.file.string());
      impl_->add(std::move(manifest));
    } else {
      impl_->add(std::move(manifest));
      impl_->publish(Event::Kind::kChanged, name, "its manifest has changed");
    }
  }
  return summary;
}

std::vector<PluginStatus> Supervisor::list() const {
  std::vector<PluginStatus> all;
  all.reserve(impl_->plugins.size());
  for (const auto& [name, plugin] : impl_->plugins) all.push_back(impl_->status(*plugin));
  return all;
}

std::expected<PluginStatus, Error> Supervisor::status(const std::string& name) const {
  if (const auto plugin = impl_->find(name)) return impl_->status(*plugin);
  return std::unexpected(impl_->not_found(name));
}

void Supervisor::start(const std::string& name, StatusCallback done) {
  const auto plugin = impl_->find(name);
  if (!plugin) return done(std::unexpected(impl_->not_found(name)));
  if (impl_->is_draining) {
    return done(std::unexpected(make_error(Reason::kDraining, "plugind is shutting down")));
  }
  plugin->start([plugin, done = std::move(done)](const std::expected<void, Error>& outcome) {
    if (outcome) {
      done(plugin->status());
    } else {
      done(std::unexpected(outcome.error()));
    }
  });
}

void Supervisor::stop(const std::string& name, StatusCallback done) {
  const auto plugin = impl_->find(name);
  if (!plugin) return done(std::unexpected(impl_->not_found(name)));
  plugin->stop("stopped by an operator", true,
               [plugin, done = std::move(done)] { done(plugin->status()); });
}

void Supervisor::restart(const std::string& name, StatusCallback done) {
  const auto plugin = impl_->find(name);
  if (!plugin) return done(std::unexpected(impl_->not_found(name)));
  plugin->stop("restarted by an operator", true,
               [this, name, done = std::move(done)]() mutable { start(name, std::move(done)); });
}

void Supervisor::upgrade(Manifest manifest, StatusCallback done) {
  const std::string name = manifest.name;
  const auto before = impl_->find(name);
  if (!before) return done(std::unexpected(impl_->not_found(name)));
  if (impl_->is_draining) {
    return done(std::unexpected(make_error(Reason::kDraining, "plugind is shutting down")));
  }
  if (!impl_->upgrading.insert(name).second) {
    return done(std::unexpected(Error{
        Reason::kUpgradeRuns,
        "an upgrade of plugin '" + name + "' is under way. `pluginctl events` tells when it ends.",
        {{"plugin", name}}}));
  }
  asio::co_spawn(impl_->environment.loop,
                 plugin::upgrade(impl_->environment, impl_->events, *impl_, before,
                                 impl_->make(std::move(manifest), before->record())),
                 [this, name, done = std::move(done)](const std::exception_ptr& defect,
                                                      const std::expected<void, Error>& outcome) {
                   if (defect) std::rethrow_exception(defect);
                   impl_->upgrading.erase(name);
                   if (!outcome) return done(std::unexpected(outcome.error()));
                   done(status(name));
                 });
}

void Supervisor::shutdown(std::function<void()> done) {
  impl_->is_draining = true;
  std::vector<std::shared_ptr<Plugin>> all;
  for (const auto& [name, plugin] : impl_->plugins) all.push_back(plugin);
  for (const auto& one : impl_->unregistered) {
    if (auto plugin = one.lock()) all.push_back(std::move(plugin));
  }
  auto left = std::make_shared<std::size_t>(all.size() + 1);
  const auto one_done = [left, done = std::move(done)] {
    if (--*left == 0) done();
  };
  for (const auto& plugin : all) plugin->stop("plugind is shutting down", true, one_done);
  one_done();
}

void Supervisor::hurry() {
  for (const auto& [name, plugin] : impl_->plugins) plugin->hurry();
  for (const auto& one : impl_->unregistered) {
    if (const auto plugin = one.lock()) plugin->hurry();
  }
}

void Supervisor::lane_let_go(const std::string& plugin, const std::string& instance) {
  if (const auto registered = impl_->find(plugin)) registered->lane_let_go(instance);
  for (const auto& one : impl_->unregistered) {
    const auto before = one.lock();
    if (before && before->name() == plugin) before->lane_let_go(instance);
  }
}

EventBus& Supervisor::events() { return impl_->events; }

std::expected<std::shared_ptr<OutputLog>, Error> Supervisor::log(const std::string& name) const {
  if (const auto plugin = impl_->find(name)) return plugin->log();
  return std::unexpected(impl_->not_found(name));
}

std::expected<std::vector<CrashReport>, Error> Supervisor::crashes(const std::string& name) const {
  if (const auto plugin = impl_->find(name)) return plugin->crashes().newest_first();
  return std::unexpected(impl_->not_found(name));
}

Error Supervisor::not_found(const std::string& name) const { return impl_->not_found(name); }

std::filesystem::path Supervisor::plugin_socket_path(const std::string& name) const {
  return impl_->environment.runtime_dir / "plugins" / (name + ".sock");
}

Plugin* Supervisor::find(std::string_view name) const { return impl_->find(name).get(); }

std::shared_ptr<CallTarget> Supervisor::target(std::string_view name) const {
  return impl_->find(name);
}

std::vector<std::shared_ptr<CallTarget>> Supervisor::declaring(std::string_view service) const {
  return impl_->services.find(impl_->plugins, service);
}

std::vector<std::shared_ptr<Plugin>> Supervisor::plugins() const {
  std::vector<std::shared_ptr<Plugin>> all;
  all.reserve(impl_->plugins.size());
  for (const auto& [name, plugin] : impl_->plugins) all.push_back(plugin);
  return all;
}

void Supervisor::host_gone(HostId host) {
  for (const auto& [name, plugin] : impl_->plugins) plugin->host_gone(host);
  // One of them may be registered again.
  for (const auto& one : impl_->unregistered) {
    if (const auto plugin = one.lock()) plugin->host_gone(host);
  }
}

void Supervisor::host_back(HostId host) {
  for (const auto& [name, plugin] : impl_->plugins) plugin->host_back(host);
  for (const auto& one : impl_->unregistered) {
    if (const auto plugin = one.lock()) plugin->host_back(host);
  }
}

void Supervisor::ask_serves(std::pair<HostId, HostId> hosts, std::function<void(bool)> answer) {
  answer(std::ranges::any_of(impl_->plugins, [&](const auto& entry) {
    return entry.second->serves(hosts.first) || entry.second->serves(hosts.second);
  }));
}

}  // namespace plugind::plugin
