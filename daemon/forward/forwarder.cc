#include "daemon/forward/forwarder.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <numeric>
#include <utility>

namespace plugind::forward {

Forwarder::Forwarder(boost::asio::any_io_executor loop, FlushQueue& queue,
                     UpstreamConnector& connector, plugin::Supervisor& supervisor,
                     plugin::Endpoint control, const wire::Limits& limits, Report report,
                     HostPolicy policy, const WorkerOptions& workers)
    : loop_(loop),
      supervisor_(supervisor),
      policy_(std::move(policy)),
      report_(std::move(report)),
      admission_(policy_.connections, policy_.access),
      reserve_(loop),
      hosts_([&supervisor](plugin::HostId host) { supervisor.host_gone(host); },
             [&supervisor](plugin::HostId host) { supervisor.host_back(host); }),
      connections_(workers.count),
      port_(std::make_shared<plugin::LoopPort>(loop)),
      lane_(loop, {0, static_cast<std::uint32_t>(workers.count)}, queue, connector, supervisor,
            control, limits, policy_, report_,
            [this](const Host& host, const std::string& why) { on_gone(0, host, why); }),
      linger_(loop) {
  for (std::size_t i = 1; i < workers.count; ++i) {
    const LaneNumber number{static_cast<std::uint32_t>(i),
                            static_cast<std::uint32_t>(workers.count)};
    workers_.push_back(std::make_unique<Worker>(
        number, port_, supervisor, control, limits, policy_, report_,
        [this, i, weak = std::weak_ptr<void>(alive_)](const Host& host, const std::string& why) {
          if (!weak.expired()) on_gone(i, host, why);
        },
        workers.run));
  }
  watch_ = supervisor.events().watch([this](const plugin::Event& event) { on_event(event); });
}

Forwarder::~Forwarder() = default;

Report Forwarder::report_of_listeners() {
  return [this](const std::string& event, const std::string& detail) {
    const auto line = refusals_.note(event, detail, std::chrono::steady_clock::now());
    if (line) report_(event, *line);
  };
}

void Forwarder::listen(platform::LocalSocket front) {
  front_ = Listener::open(
      loop_, policy_, reserve_, std::move(front),
      [this](Transport::Socket& socket, const platform::PeerIdentity& peer) {
        return on_accepted(socket, "", peer);
      },
      report_of_listeners());
  front_->start();
}

void Forwarder::on_event(const plugin::Event& event) {
  using Kind = plugin::Event::Kind;
  if (event.kind == Kind::kRegistered && serves_plugin_sockets_) {
    open_plugin_socket(event.plugin);
  } else if (event.kind == Kind::kRemoved) {
    close_plugin_socket(event.plugin);
  } else if (event.kind == Kind::kChanged) {
    plugins_changed();
  } else if (event.kind == Kind::kState && event.state != plugin::InstanceState::kReady) {
    retire_instance(event);
  }
}

void Forwarder::retire_instance(const plugin::Event& event) {
  std::function<void()> done = [] {};
  if (event.state == plugin::InstanceState::kDraining) {
    done = [this, weak = std::weak_ptr<void>(alive_), plugin = event.plugin,
            instance = event.instance] {
      if (!weak.expired()) supervisor_.lane_let_go(plugin, instance);
    };
  }
  for (const auto& worker : workers_) worker->retire_instance(event.plugin, event.instance, done);
}

void Forwarder::open_plugin_sockets() {
  serves_plugin_sockets_ = true;
  for (const plugin::PluginStatus& status : supervisor_.list()) {
    open_plugin_socket(status.manifest.name);
  }
}

void Forwarder::connect_control() {
  lane_.connect_control();
  for (const auto& worker : workers_) worker->connect_control();
}

void Forwarder::plugins_changed() {
  if (workers_.empty()) return;
  const std::vector<PluginFacts> facts = facts_of(supervisor_);
  for (const auto& worker : workers_) worker->replace_plugins(facts);
}

void Forwarder::open_plugin_socket(const std::string& name) {
  if (plugin_sockets_.contains(name)) return;
  const std::string path = supervisor_.plugin_socket_path(name).string();
  auto socket = platform::LocalSocket::listen(path, policy_.plugin_sockets);
  if (!socket) {
    report_("plugin-socket-failed", "plugin=" + name + " " + socket.error().message);
    return;
  }
  auto listener = Listener::open(
      loop_, policy_, reserve_, std::move(*socket),
      [this, name](Transport::Socket& connection, const platform::PeerIdentity& peer) {
        return on_accepted(connection, name, peer);
      },
      report_of_listeners());
  listener->start();
  plugin_sockets_.emplace(name, std::move(listener));
}

void Forwarder::close_plugin_socket(const std::string& name) {
  const auto it = plugin_sockets_.find(name);
  if (it == plugin_sockets_.end()) return;
  it->second->close();
  plugin_sockets_.erase(it);
  lane_.close(name);
  for (const auto& worker : workers_) worker->close(name);
}

std::optional<std::string> Forwarder::on_accepted(Transport::Socket& socket,
                                                  const std::string& bound_plugin,
                                                  const platform::PeerIdentity& peer) {
  if (auto why = admission_.enter(peer)) {
    const std::string who = peer.known ? "uid " + std::to_string(peer.uid) : "unknown";
    const auto line =
        refusals_.note(who, "of " + who + ": " + *why, std::chrono::steady_clock::now());
    if (line) report_("connection-refused", *line);
    return why;
  }
  const auto least = std::ranges::min_element(connections_);
  ++*least;
  const auto lane = static_cast<std::size_t>(least - connections_.begin());
  Host host = hosts_.connected(peer);
  if (lane == 0) {
    lane_.add(std::move(socket), bound_plugin, std::move(host));
  } else if (!workers_[lane - 1]->add(std::move(socket), bound_plugin, host)) {
    on_gone(lane, host, "");
    report_("accept-failed", "no memory to hand a connection to another loop");
  }
  return std::nullopt;
}

void Forwarder::on_gone(std::size_t lane, const Host& host, const std::string& why) {
  --connections_[lane];
  hosts_.disconnected(host);
  admission_.leave(host.peer);
  if (connections() == 0) tell_finished();
  if (why.starts_with("protocol error")) {
    report_("host-protocol-error", host.peer.host.describe() + ": " + why);
  }
}

std::size_t Forwarder::connections() const {
  return std::accumulate(connections_.begin(), connections_.end(), std::size_t{0});
}

void Forwarder::drain() {
  if (front_) front_->close();
  for (const auto& [name, listener] : plugin_sockets_) listener->close();
  lane_.drain();
  for (const auto& worker : workers_) worker->drain();
}

void Forwarder::finish(std::function<void()> finished) {
  finished_ = std::move(finished);
  lane_.close_settled();
  for (const auto& worker : workers_) worker->close_settled();
  linger_.expires_after(policy_.linger);
  linger_.async_wait([this, weak = std::weak_ptr<void>(alive_)](const auto& ec) {
    if (!ec && !weak.expired()) tell_finished();
  });
  if (connections() == 0) tell_finished();
}

void Forwarder::tell_finished() {
  if (!finished_) return;
  linger_.cancel();
  // Whoever is told may destroy this, and a lane may be in the middle of closing.
  boost::asio::post(loop_, std::exchange(finished_, nullptr));
}

void Forwarder::close() {
  watch_.reset();
  if (front_) front_->close();
  for (const auto& [name, listener] : plugin_sockets_) listener->close();
  lane_.close();
  workers_.clear();
}

}  // namespace plugind::forward
