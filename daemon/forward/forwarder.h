// The facade of forwarding: the front socket, the plugin sockets, and everything behind them.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <map>
#include <memory>
#include <string>

#include "daemon/forward/connector.h"
#include "daemon/forward/context.h"
#include "daemon/forward/control_link.h"
#include "daemon/forward/deadlines.h"
#include "daemon/forward/flush_queue.h"
#include "daemon/forward/host_table.h"
#include "daemon/forward/listener.h"
#include "daemon/forward/router.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::forward {

class Forwarder {
 public:
  /// All references outlive the forwarder.  `control`: where the control service listens; nobody
  /// else may be able to connect there, as what comes in through the forwarder has been checked.
  Forwarder(boost::asio::any_io_executor loop, FlushQueue& queue, UpstreamConnector& connector,
            plugin::Supervisor& supervisor, plugin::Endpoint control, const wire::Limits& limits,
            Report report, HostPolicy policy = {});
  ~Forwarder();

  /// Serves the front socket.
  void listen(platform::LocalSocket front);
  /// Gives every registered plugin its plugin socket, now and whenever one is added or removed.
  void open_plugin_sockets();

  /// No new connections or calls; those in flight go on.
  void drain();
  void close();

  const Counters& counters() const { return context_.counters; }

 private:
  void open_plugin_socket(const std::string& name);

  plugin::Supervisor& supervisor_;
  Deadlines deadlines_;
  HostTable hosts_;
  Router router_;
  ControlLink control_;
  Context context_;
  std::shared_ptr<Listener> front_;
  std::map<std::string, std::shared_ptr<Listener>> plugin_sockets_;
  plugin::EventBus::Subscription watch_;
};

}  // namespace plugind::forward
