// The composition root: builds every part, runs the loop, and takes everything down again in the
// opposite order.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <expected>
#include <memory>
#include <optional>

#include "daemon/app/busy_poll.h"
#include "daemon/app/options.h"
#include "daemon/app/output_writer.h"
#include "daemon/app/self_check.h"
#include "daemon/app/steady_clock.h"
#include "daemon/control/control_server.h"
#include "daemon/error.h"
#include "daemon/forward/connector.h"
#include "daemon/forward/flush_queue.h"
#include "daemon/forward/forwarder.h"
#include "daemon/platform/lifeline.h"
#include "daemon/platform/local_socket.h"
#include "daemon/platform/process_tree.h"
#include "daemon/platform/runtime_dir.h"
#include "daemon/platform/service_notify.h"
#include "daemon/platform/signals.h"
#include "daemon/plugin/doctor.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::app {

class Daemon {
 public:
  /// Signals are blocked already (platform::block_signals) and no other thread exists.
  Daemon(Options options, platform::ServiceNotifier notifier);
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  /// Builds everything that can fail for reasons an operator has to know.
  std::expected<void, Error> start();
  /// Serves until asked to stop.  Error: it cannot serve after all, and has stopped.
  std::expected<void, Error> run();

 private:
  std::expected<void, Error> open_front();
  std::expected<void, Error> open_output();
  std::expected<plugin::ReloadSummary, Error> reload();
  void upgrade(const std::string& name, plugin::Supervisor::StatusCallback done);
  control::DaemonFacts facts() const;
  SelfFacts self_facts() const;
  void diagnose(const std::string& name, control::DiagnoseCallback done);
  void start_control();
  void watch_events();
  boost::asio::awaitable<void> obey_signals();
  boost::asio::awaitable<void> obey_lifeline();
  void stop(const std::string& cause);
  void stop_at_once(const std::string& cause);

  const Options options_;
  platform::ServiceNotifier notifier_;
  const std::chrono::system_clock::time_point started_at_ = std::chrono::system_clock::now();

  // In the order in which they are built; destroyed from the last to the first.
  boost::asio::io_context loop_;
  SteadyClock clock_;
  forward::FlushQueue flush_queue_;
  forward::UpstreamConnector connector_;
  std::unique_ptr<platform::ProcessTrees> trees_;
  std::unique_ptr<plugin::ProcessFactory> processes_;
  std::unique_ptr<plugin::Dialect> native_;
  std::unique_ptr<plugin::Dialect> go_plugin_;
  std::optional<platform::LocalSocket> front_socket_;
  std::optional<platform::RuntimeDir> runtime_dir_;
  std::optional<platform::SignalSource> signals_;
  std::optional<platform::Lifeline> lifeline_;
  std::unique_ptr<OutputWriter> output_writer_;  ///< Null without --log-dir.
  std::unique_ptr<plugin::Supervisor> supervisor_;
  std::unique_ptr<plugin::Doctor> doctor_;
  plugin::EventBus::Subscription event_log_;
  std::unique_ptr<forward::Forwarder> forwarder_;
  std::unique_ptr<control::PluginAdmin> admin_;
  std::unique_ptr<control::ControlServer> control_;
  bool stopping_ = false;
  std::optional<Error> failure_;  ///< What run() has to tell.
};

}  // namespace plugind::app
