#include "daemon/forward/forwarder.h"

#include <utility>

namespace plugind::forward {

Forwarder::Forwarder(boost::asio::any_io_executor loop, FlushQueue& queue,
                     UpstreamConnector& connector, plugin::Supervisor& supervisor,
                     plugin::Endpoint control, const wire::Limits& limits, Report report,
                     HostPolicy policy)
    : supervisor_(supervisor),
      deadlines_(loop),
      hosts_([&supervisor](plugin::HostId host) { supervisor.host_gone(host); },
             [&supervisor](plugin::HostId host) { supervisor.host_back(host); }),
      router_(supervisor),
      control_(loop, connector, std::move(control)),
      context_{.loop = loop,
               .queue = queue,
               .deadlines = deadlines_,
               .hosts = hosts_,
               .router = router_,
               .control = control_,
               .limits = limits,
               .policy = policy,
               .report = std::move(report),
               .admission = {policy.connections, policy.access},
               .refusals = {},
               .header_pool = {},
               .draining = false,
               .counters = {}} {}

Forwarder::~Forwarder() = default;

void Forwarder::listen(platform::LocalSocket front) {
  front_ = Listener::open(context_, std::move(front), "");
  front_->start();
}

void Forwarder::open_plugin_sockets() {
  watch_ = supervisor_.events().watch([this](const plugin::Event& event) {
    if (event.kind == plugin::Event::Kind::kRegistered) {
      open_plugin_socket(event.plugin);
    } else if (event.kind == plugin::Event::Kind::kRemoved) {
      const auto it = plugin_sockets_.find(event.plugin);
      if (it == plugin_sockets_.end()) return;
      it->second->close();
      plugin_sockets_.erase(it);
    }
  });
  for (const plugin::PluginStatus& status : supervisor_.list()) {
    open_plugin_socket(status.manifest.name);
  }
}

void Forwarder::open_plugin_socket(const std::string& name) {
  if (plugin_sockets_.contains(name)) return;
  const std::string path = supervisor_.plugin_socket_path(name).string();
  auto socket = platform::LocalSocket::listen(path, context_.policy.plugin_sockets);
  if (!socket) {
    context_.report("plugin-socket-failed", "plugin=" + name + " " + socket.error().message);
    return;
  }
  auto listener = Listener::open(context_, std::move(*socket), name);
  listener->start();
  plugin_sockets_.emplace(name, std::move(listener));
}

void Forwarder::drain() {
  context_.draining = true;
  const FlushQueue::Turn turn(context_.queue);
  if (front_) front_->drain();
  for (const auto& [name, listener] : plugin_sockets_) listener->drain();
}

void Forwarder::close() {
  watch_.reset();
  const FlushQueue::Turn turn(context_.queue);
  if (front_) front_->close();
  for (const auto& [name, listener] : plugin_sockets_) listener->close();
  control_.close();
}

}  // namespace plugind::forward
