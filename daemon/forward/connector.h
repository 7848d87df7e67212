// Connects to instances.
#pragma once

#include <boost/asio/any_io_executor.hpp>

#include "daemon/forward/flush_queue.h"
#include "daemon/plugin/connection.h"
#include "proto/wire/session.h"

namespace plugind::forward {

/// Makes Upstreams.
class UpstreamConnector final : public plugin::Connector {
 public:
  UpstreamConnector(boost::asio::any_io_executor loop, FlushQueue& queue,
                    const wire::Limits& limits)
      : loop_(std::move(loop)), queue_(queue), limits_(limits) {}

  boost::asio::awaitable<std::expected<std::unique_ptr<plugin::Connection>, Error>> connect(
      plugin::Endpoint endpoint, std::chrono::milliseconds timeout) override;

 private:
  boost::asio::any_io_executor loop_;
  FlushQueue& queue_;
  wire::Limits limits_;
};

}  // namespace plugind::forward
