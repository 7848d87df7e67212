// What the domain needs of a gRPC connection to an instance.  forward/ implements it, on the very
// connection that carries the calls of hosts afterwards.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/error.h"

namespace plugind::plugin {

/// Where an instance listens: "unix:/path" or "tcp:HOST:PORT" (HOST may be "[::1]").
struct Endpoint {
  std::string address;
};

/// How a gRPC call ended, and the reply if it is a unary one and succeeded.
struct CallResult {
  StatusCode code = StatusCode::kOk;
  std::string message;
  std::string reply;
};

class Connection {
 public:
  virtual ~Connection() = default;

  /// One unary call.  `method` is "/package.Service/Method"; `request` a serialised message.  An
  /// Error means that the connection failed; a status that the peer answered is a CallResult.
  /// DEADLINE_EXCEEDED after `timeout` is a CallResult, too.
  virtual boost::asio::awaitable<std::expected<CallResult, Error>> unary(
      std::string method, std::string request, std::chrono::milliseconds timeout) = 0;

  /// One server-streaming call that runs until either side ends it.  `on_message` gets each
  /// serialised message, `on_end` is called once.  Neither is called after ~Connection.
  virtual void server_stream(std::string method, std::string request,
                             std::function<void(std::string_view)> on_message,
                             std::function<void(CallResult)> on_end) = 0;

  virtual bool alive() const = 0;
  /// Of one that has closed: what the peer did wrong, for which this side closed it; "" if that was
  /// not so.
  virtual std::string broken_by() const { return ""; }
  /// Of one that is not alive(): the peer has asked for no more calls on it, and goes on with those
  /// that it has (GOAWAY without an error, RFC 9113 section 6.8).  It may have closed it since.
  virtual bool said_goodbye() const { return false; }
  /// Completes when the connection is not alive any more.
  virtual boost::asio::awaitable<void> wait_closed() = 0;
};

class Connector {
 public:
  virtual ~Connector() = default;
  /// Connects and exchanges HTTP/2 settings.
  virtual boost::asio::awaitable<std::expected<std::unique_ptr<Connection>, Error>> connect(
      Endpoint endpoint, std::chrono::milliseconds timeout) = 0;
};

}  // namespace plugind::plugin
