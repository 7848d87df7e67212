// The control API on a private Unix socket: plugind.v1.PluginHost, gRPC's health service and server
// reflection.  The front socket forwards to it like to any plugin.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <expected>
#include <filesystem>
#include <functional>
#include <memory>

#include "daemon/control/hooks.h"
#include "daemon/control/plugin_admin.h"
#include "daemon/control/stream_call.h"
#include "daemon/error.h"

namespace plugind::control {

/// Lives on the loop.  gRPC's threads are started by start() and inherit the signal mask of the
/// thread that calls it.
class ControlServer {
 public:
  /// `admin` outlives the server, and so does the context behind `loop`.
  ControlServer(boost::asio::any_io_executor loop, PluginAdmin& admin, ControlHooks hooks,
                StreamBounds bounds = {});
  /// Stops, if that has not been done; blocks for two seconds at most.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  /// Listens on `socket`, which only this user may open.  A socket that an earlier daemon left
  /// there is replaced.
  std::expected<void, Error> start(const std::filesystem::path& socket);

  /// Ends every call with DAEMON_DRAINING, then the connections; `done` is called on the loop,
  /// within two seconds, unless the server is destroyed before.  The loop is not blocked.  To be
  /// called once, after start().
  void stop(std::function<void()> done);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plugind::control
