// One loop's part of forwarding: its connections to hosts and all that they share.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "daemon/forward/context.h"
#include "daemon/forward/control_link.h"
#include "daemon/forward/deadlines.h"
#include "daemon/forward/downstream.h"
#include "daemon/forward/flush_queue.h"
#include "daemon/forward/router.h"
#include "daemon/plugin/connection.h"

namespace plugind::forward {

/// Lives on its loop.  A connection stays on the lane that it was given to, and so do its calls.
class Lane {
 public:
  /// A host's connection has closed; `why` as Downstream::Closed tells it.  Called on the loop.
  using Gone = std::function<void(const Host& host, const std::string& why)>;

  /// All references outlive the lane.  `control`: where the control service listens.
  Lane(boost::asio::any_io_executor loop, LaneNumber number, FlushQueue& queue,
       plugin::Connector& connector, plugin::CallTargets& plugins, plugin::Endpoint control,
       const wire::Limits& limits, HostPolicy policy, Report report, Gone gone);

  /// Serves a connection that has come in: on the front socket if `bound_plugin` is "", else on
  /// that plugin's.
  void add(Transport::Socket socket, const std::string& bound_plugin, Host host);
  /// Closes the connections of that socket; calls in flight are cancelled.
  void close(const std::string& bound_plugin);
  /// Refuses new calls, and says GOAWAY on every connection; calls in flight go on.
  void drain();
  /// Closes the connections whose hosts had no call when drain() was called.
  void close_settled();
  /// Connects to the control service before anybody needs it.
  void connect_control();
  /// Closes everything.
  void close();

  const Counters& counters() const { return context_.counters; }

 private:
  template <class Wanted>
  void close_if(Wanted wanted);

  Deadlines deadlines_;
  Router router_;
  ControlLink control_;
  Context context_;
  Gone gone_;
  std::unordered_map<Downstream*, std::shared_ptr<Downstream>> connections_;
  std::shared_ptr<void> alive_ = std::make_shared<int>(0);
};

}  // namespace plugind::forward
