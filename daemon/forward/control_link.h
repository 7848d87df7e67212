// The connection to the daemon's own control service, made when it is first needed.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/forward/upstream.h"
#include "daemon/plugin/connection.h"

namespace plugind::forward {

class ControlLink {
 public:
  using Callback = std::function<void(std::expected<std::shared_ptr<UpstreamCore>, Error>)>;

  /// `connector` makes the connection to `endpoint`, where grpc++ serves (or will soon).
  ControlLink(boost::asio::any_io_executor loop, plugin::Connector& connector,
              plugin::Endpoint endpoint);

  /// The connection if it is there now, else null.
  UpstreamCore* ready();
  /// Never calls back from inside.
  void wait(Callback callback);
  void close() { connection_.reset(); }

 private:
  boost::asio::awaitable<void> connect();

  boost::asio::any_io_executor loop_;
  plugin::Connector& connector_;
  plugin::Endpoint endpoint_;
  std::unique_ptr<plugin::Connection> connection_;
  std::vector<Callback> waiting_;
};

}  // namespace plugind::forward
