// Connections to instances that a test plays.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/plugin/clock.h"
#include "daemon/plugin/connection.h"
#include "daemon/plugin/gate.h"

namespace plugind::testing {

/// One connection as the test sees it; outlives the plugin::Connection.
class FakeConnection {
 public:
  using Answer = std::expected<plugin::CallResult, Error>;
  struct Unary {
    std::string method, request;
    std::chrono::milliseconds timeout;
  };
  struct Stream {
    std::string method, request;
    std::function<void(std::string_view)> on_message;
    std::function<void(plugin::CallResult)> on_end;
  };

  explicit FakeConnection(plugin::Clock& clock) : clock_(clock) {}

  plugin::Endpoint endpoint;
  std::chrono::milliseconds connect_timeout{0};
  /// Answers unary calls; nullopt: never, so that the call times out.  If empty, health checks say
  /// SERVING and everything else is UNIMPLEMENTED.
  std::function<std::optional<Answer>(const Unary&)> on_unary;

  std::vector<Unary> calls;  ///< Unary calls so far.
  std::vector<Stream> streams;
  bool destroyed = false;  ///< The plugin::Connection is gone.

  /// The connection breaks: pending calls fail, streams end with UNAVAILABLE.
  void fail();
  /// The peer takes no more calls; those it has go on.
  void say_goodbye();
  bool alive() const { return !closed_.is_open(); }
  /// A message of stream `index`, unless the connection is gone.
  void send(std::size_t index, std::string_view message);
  /// The end of stream `index`, unless the connection is gone.
  void end(std::size_t index, plugin::CallResult result);

 private:
  friend class FakeConnectionHandle;

  plugin::Clock& clock_;
  plugin::Gate closed_;
  bool said_goodbye_ = false;
};

class FakeConnector : public plugin::Connector {
 public:
  explicit FakeConnector(plugin::Clock& clock) : clock_(clock) {}

  boost::asio::awaitable<std::expected<std::unique_ptr<plugin::Connection>, Error>> connect(
      plugin::Endpoint endpoint, std::chrono::milliseconds timeout) override;

  enum class Verdict { kAccept, kRefuse, kSilence };
  /// Decides about each attempt; prepare an accepted connection here.  If empty: accept.  A silent
  /// peer makes connect() fail after its timeout.
  std::function<Verdict(FakeConnection&)> on_connect;
  /// Every accepted connection so far, the oldest first.
  std::vector<std::shared_ptr<FakeConnection>> connections;
  std::vector<plugin::Endpoint> attempts;

  FakeConnection& last() { return *connections.back(); }

 private:
  plugin::Clock& clock_;
};

}  // namespace plugind::testing
