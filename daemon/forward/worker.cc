#include "daemon/forward/worker.h"

#include <boost/asio/local/stream_protocol.hpp>
#include <utility>

namespace plugind::forward {

Worker::Worker(LaneNumber number, std::shared_ptr<plugin::LoopPort> home,
               plugin::Supervisor& supervisor, const plugin::Endpoint& control,
               const wire::Limits& limits, const HostPolicy& policy, Report report, Lane::Gone gone,
               const Run& run)
    : work_(loop_.get_executor()),
      home_(home),
      port_(std::make_shared<plugin::LoopPort>(loop_.get_executor())),
      queue_(loop_.get_executor()),
      connector_(loop_.get_executor(), queue_, limits),
      plugins_({loop_.get_executor(), number, port_, home, connector_}, supervisor),
      lane_(
          loop_.get_executor(), number, queue_, connector_, plugins_, control, limits, policy,
          [home, report = std::move(report)](const std::string& event, const std::string& detail) {
            home->post([report, event, detail] { report(event, detail); });
          },
          [home, gone = std::move(gone)](const Host& host, const std::string& why) {
            home->post([gone, host, why] { gone(host, why); });
          }),
      thread_([this, run] { run(loop_, lane_.counters()); }) {}

Worker::~Worker() {
  port_->post([this] {
    lane_.close();
    loop_.stop();
  });
  thread_.join();
  port_->close();
}

bool Worker::add(Transport::Socket socket, const std::string& bound_plugin, Host host) {
  boost::system::error_code ec;
  const Transport::Socket::protocol_type protocol{boost::asio::local::stream_protocol()};
  const auto descriptor = socket.release(ec);
  if (ec) return false;
  Transport::Socket moved(loop_.get_executor());
  moved.assign(protocol, descriptor, ec);
  if (ec) {
    boost::system::error_code ignored;
    socket.assign(protocol, descriptor, ignored);  // Whoever has it closes it.
    return false;
  }
  port_->post([this, moved = std::move(moved), bound_plugin, host = std::move(host)]() mutable {
    lane_.add(std::move(moved), bound_plugin, std::move(host));
  });
  return true;
}

void Worker::close(const std::string& bound_plugin) {
  port_->post([this, bound_plugin] { lane_.close(bound_plugin); });
}

void Worker::drain() {
  port_->post([this] { lane_.drain(); });
}

void Worker::close_settled() {
  port_->post([this] { lane_.close_settled(); });
}

void Worker::connect_control() {
  port_->post([this] { lane_.connect_control(); });
}

void Worker::replace_plugins(std::vector<PluginFacts> plugins) {
  port_->post([this, plugins = std::move(plugins)] { plugins_.replace(plugins); });
}

void Worker::retire_instance(const std::string& plugin, const std::string& instance,
                             std::function<void()> done) {
  port_->post([this, plugin, instance, done = std::move(done)]() mutable {
    plugins_.retire_instance(plugin, instance);
    home_->post(std::move(done));
  });
}

}  // namespace plugind::forward
