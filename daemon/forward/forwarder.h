// The facade of forwarding: the front socket, the plugin sockets, and everything behind them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/forward/admission.h"
#include "daemon/forward/connector.h"
#include "daemon/forward/context.h"
#include "daemon/forward/descriptor_reserve.h"
#include "daemon/forward/flush_queue.h"
#include "daemon/forward/host_table.h"
#include "daemon/forward/lane.h"
#include "daemon/forward/listener.h"
#include "daemon/forward/refusal_log.h"
#include "daemon/forward/worker.h"
#include "daemon/plugin/loop_port.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::forward {

/// Over how many loops the connections of hosts are spread.
struct WorkerOptions {
  std::size_t count = 1;  ///< The loop that owns the plugins is the first; others are threads.
  Worker::Run run = [](boost::asio::io_context& loop, const Counters&) { loop.run(); };
};

/// Lives on the loop that owns the plugins.
class Forwarder {
 public:
  /// All references outlive the forwarder.  `control`: where the control service listens; nobody
  /// else may be able to connect there, as what comes in through the forwarder has been checked.
  /// The supervisor's Environment::lanes is `workers.count`.
  Forwarder(boost::asio::any_io_executor loop, FlushQueue& queue, UpstreamConnector& connector,
            plugin::Supervisor& supervisor, plugin::Endpoint control, const wire::Limits& limits,
            Report report, HostPolicy policy = {}, const WorkerOptions& workers = {});
  /// Ends the workers' threads.
  ~Forwarder();

  /// Serves the front socket.
  void listen(platform::LocalSocket front);
  /// Gives every registered plugin its plugin socket, now and whenever one is added or removed.
  void open_plugin_sockets();
  /// To be called when the control service serves.  Who has no descriptor left cannot connect to it
  /// any more, and grpc++, if it meets that in the place of its accept, never accepts again.
  void connect_control();
  /// To be called after each Supervisor::apply().
  void plugins_changed();

  /// No new connections or calls; those in flight go on.
  void drain();
  /// After drain(), once all calls have ended: calls `finished` when hosts that had calls have
  /// taken their ends and closed their connections, or have had HostPolicy::linger for that.
  void finish(std::function<void()> finished);
  void close();

  /// Of the loop that owns the plugins.
  const Counters& counters() const { return lane_.counters(); }
  /// Open ones of hosts, on all loops.
  std::size_t connections() const;

 private:
  /// Bounded, as peers can cause what listeners report as fast as they like.
  Report report_of_listeners();
  void open_plugin_socket(const std::string& name);
  void close_plugin_socket(const std::string& name);
  std::optional<std::string> on_accepted(Transport::Socket& socket, const std::string& bound_plugin,
                                         const platform::PeerIdentity& peer);
  void on_gone(std::size_t lane, const Host& host, const std::string& why);
  void on_event(const plugin::Event& event);
  void tell_finished();
  void retire_instance(const plugin::Event& event);

  boost::asio::any_io_executor loop_;
  plugin::Supervisor& supervisor_;
  const HostPolicy policy_;
  const Report report_;
  Admission admission_;
  RefusalLog refusals_;
  DescriptorReserve reserve_;
  HostTable hosts_;
  std::vector<std::size_t> connections_;  ///< Of each lane.
  const std::shared_ptr<void> alive_ = std::make_shared<int>(0);
  const std::shared_ptr<plugin::LoopPort> port_;
  Lane lane_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::shared_ptr<Listener> front_;
  std::map<std::string, std::shared_ptr<Listener>> plugin_sockets_;
  bool serves_plugin_sockets_ = false;
  plugin::EventBus::Subscription watch_;
  std::function<void()> finished_;  ///< Of finish(), until it is called.
  boost::asio::steady_timer linger_;
};

}  // namespace plugind::forward
