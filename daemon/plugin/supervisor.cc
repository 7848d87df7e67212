#include "daemon/plugin/supervisor.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "daemon/plugin/plugin.h"
#include "daemon/plugin/printable.h"

namespace plugind::plugin {

namespace asio = boost::asio;

class Supervisor::Impl {
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

  void add(Manifest manifest) {
    auto& crashes = crash_logs[manifest.name];
    if (!crashes) crashes = std::make_shared<CrashLog>();
    crashes->keep(manifest.crashes_keep);
    auto plugin =
        std::make_shared<Plugin>(environment, events, numbers, crashes, std::move(manifest));
    plugins[plugin->name()] = plugin;
    if (draining || plugin->manifest().start_mode != StartMode::kBoot) return;
    plugin->start([](const std::expected<void, Error>&) {});
  }

  /// Keeps a plugin that is no longer registered until its instances have ended.
  void retire(const std::shared_ptr<Plugin>& plugin, const std::string& cause) {
    std::erase_if(retired, [](const auto& gone) { return gone.expired(); });
    retired.push_back(plugin);
    plugin->stop(cause, true, [plugin, loop = environment.loop] {
      // Not destroyed from inside one of its own functions.
      asio::post(loop, [plugin] {});
    });
  }

  Environment environment;
  EventBus events;
  InstanceNumbers numbers;
  std::map<std::string, std::shared_ptr<Plugin>, std::less<>> plugins;
  std::map<std::string, std::shared_ptr<CrashLog>>
      crash_logs;                              // By name; outlive a changed manifest.
  std::vector<std::weak_ptr<Plugin>> retired;  // Removed, but perhaps still stopping.
  bool draining = false;
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
      impl_->crash_logs.erase(plugin->name());
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
    impl_->retire(plugin, "its manifest has changed");
    impl_->publish(Event::Kind::kChanged, plugin->name(), "its manifest has changed");
  }
  for (auto& [name, manifest] : wanted) {
    if (!impl_->plugins.contains(name)) {
      summary.added.push_back(name);
      impl_->publish(Event::Kind::kRegistered, name, "read from " + manifest.file.string());
    }
    impl_->add(std::move(manifest));
  }
  return summary;
}

std::vector<PluginStatus> Supervisor::list() const {
  std::vector<PluginStatus> all;
  all.reserve(impl_->plugins.size());
  for (const auto& [name, plugin] : impl_->plugins) all.push_back(plugin->status());
  return all;
}

std::expected<PluginStatus, Error> Supervisor::status(const std::string& name) const {
  if (const auto plugin = impl_->find(name)) return plugin->status();
  return std::unexpected(impl_->not_found(name));
}

void Supervisor::start(const std::string& name, StatusCallback done) {
  const auto plugin = impl_->find(name);
  if (!plugin) return done(std::unexpected(impl_->not_found(name)));
  if (impl_->draining) {
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

void Supervisor::shutdown(std::function<void()> done) {
  impl_->draining = true;
  std::vector<std::shared_ptr<Plugin>> all;
  for (const auto& [name, plugin] : impl_->plugins) all.push_back(plugin);
  for (const auto& retired : impl_->retired) {
    if (auto plugin = retired.lock()) all.push_back(std::move(plugin));
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
  for (const auto& retired : impl_->retired) {
    if (const auto plugin = retired.lock()) plugin->hurry();
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
  std::vector<std::shared_ptr<CallTarget>> found;
  for (const auto& [name, plugin] : impl_->plugins) {
    if (declares(plugin->manifest(), service)) found.push_back(plugin);
  }
  return found;
}

std::vector<std::shared_ptr<Plugin>> Supervisor::plugins() const {
  std::vector<std::shared_ptr<Plugin>> all;
  all.reserve(impl_->plugins.size());
  for (const auto& [name, plugin] : impl_->plugins) all.push_back(plugin);
  return all;
}

void Supervisor::host_gone(HostId host) {
  for (const auto& [name, plugin] : impl_->plugins) plugin->host_gone(host);
}

void Supervisor::host_back(HostId host) {
  for (const auto& [name, plugin] : impl_->plugins) plugin->host_back(host);
}

void Supervisor::ask_serves(HostId host, std::function<void(bool)> answer) {
  answer(std::ranges::any_of(impl_->plugins,
                             [&](const auto& entry) { return entry.second->serves(host); }));
}

}  // namespace plugind::plugin
