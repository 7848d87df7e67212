// grpc.health.v1, as far as a greeting needs it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <expected>
#include <optional>
#include <string>

#include "daemon/error.h"
#include "daemon/plugin/clock.h"
#include "daemon/plugin/connection.h"

namespace plugind::dialect {

constexpr std::string_view kHealthCheck = "grpc.health.v1.Health/Check";

struct HealthQuestion {
  std::string service;  ///< "" asks about the server as a whole.
  /// A server that does not know `service` (NOT_FOUND, SERVICE_UNKNOWN) counts as ready.
  bool unknown_is_ready = false;
  /// The bound of one request.
  std::chrono::milliseconds timeout{0};
};

/// Asks once.  nullopt: it is SERVING, or the server has no health service; else what is wrong, as
/// a sentence.  Error: the connection failed.
boost::asio::awaitable<std::expected<std::optional<std::string>, Error>> ask_health(
    plugin::Connection& connection, HealthQuestion question);

/// Asks with a growing pause until the health service says SERVING.  A server that has no health
/// service counts as ready.  Never gives up: the caller bounds it.  `last_answer` tells at any time
/// what the last answer was, as a sentence ("its health service says NOT_SERVING"), or is "".
/// Error: the connection failed.
boost::asio::awaitable<std::expected<void, Error>> await_serving(plugin::Connection& connection,
                                                                 HealthQuestion question,
                                                                 plugin::Clock& clock,
                                                                 std::string& last_answer);

}  // namespace plugind::dialect
