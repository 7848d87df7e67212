// A thread that forwards: a loop of its own, and a lane on it.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "daemon/forward/connector.h"
#include "daemon/forward/context.h"
#include "daemon/forward/flush_queue.h"
#include "daemon/forward/lane.h"
#include "daemon/forward/remote_plugins.h"
#include "daemon/plugin/loop_port.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::forward {

/// Its functions are called on the home loop, the one that owns the plugins.
class Worker {
 public:
  /// Runs a loop until it is stopped; called on the worker's thread.
  using Run = std::function<void(boost::asio::io_context& loop, const Counters& counters)>;

  /// `report` and `gone` are called on the home loop.  The thread has the signal mask of the one
  /// that calls this.
  Worker(LaneNumber number, std::shared_ptr<plugin::LoopPort> home, plugin::Supervisor& supervisor,
         const plugin::Endpoint& control, const wire::Limits& limits, const HostPolicy& policy,
         Report report, Lane::Gone gone, const Run& run);
  /// Closes everything on it and ends the thread.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// False: the system has no memory for the connection, which is closed then.
  bool add(Transport::Socket socket, const std::string& bound_plugin, Host host);
  void close(const std::string& bound_plugin);
  void drain();
  void close_settled();
  void connect_control();
  /// What is registered now.
  void replace_plugins(std::vector<PluginFacts> plugins);
  /// The instance gets no more calls from here.  `done` is called on the home loop once that is so.
  void retire_instance(const std::string& plugin, const std::string& instance,
                       std::function<void()> done);

 private:
  boost::asio::io_context loop_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  const std::shared_ptr<plugin::LoopPort> home_;
  const std::shared_ptr<plugin::LoopPort> port_;
  FlushQueue queue_;
  UpstreamConnector connector_;
  RemotePlugins plugins_;
  Lane lane_;
  std::thread thread_;
};

}  // namespace plugind::forward
