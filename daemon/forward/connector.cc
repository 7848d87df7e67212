#include "daemon/forward/connector.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "daemon/forward/address.h"
#include "daemon/forward/upstream.h"

namespace plugind::forward {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

Error failed(const std::string& address, const std::string& why) {
  return make_error(Reason::kConnectFailed, "cannot connect to " + address + ": " + why);
}

asio::awaitable<boost::system::error_code> connect_socket(
    Transport::Socket& socket, const asio::generic::stream_protocol::endpoint& endpoint) {
  boost::system::error_code ec;
  co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, ec));
  co_return ec;
}

asio::awaitable<void> wait_greeted(UpstreamCore& core) {
  while (!core.settings_seen() && !core.closed()) {
    boost::system::error_code ignored;
    co_await core.changed().async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return;
  }
}

}  // namespace

asio::awaitable<std::expected<std::unique_ptr<plugin::Connection>, Error>>
UpstreamConnector::connect(plugin::Endpoint endpoint, std::chrono::milliseconds timeout) {
  const auto address = parse_address(endpoint.address);
  if (!address) co_return std::unexpected(failed(endpoint.address, address.error().message));
  const auto target = address->endpoint();
  if (!target) co_return std::unexpected(target.error());

  asio::steady_timer timer(loop_, timeout);
  Transport::Socket socket(loop_);
  boost::system::error_code open_error;
  socket.open(target->protocol(), open_error);
  if (open_error) co_return std::unexpected(failed(endpoint.address, open_error.message()));
  boost::system::error_code timer_error;
  auto connected =
      co_await (connect_socket(socket, *target) ||
                timer.async_wait(asio::redirect_error(asio::use_awaitable, timer_error)));
  if (connected.index() == 1) {
    co_return std::unexpected(failed(
        endpoint.address, "no connection within " + std::to_string(timeout.count()) + " ms"));
  }
  if (const auto ec = std::get<0>(connected)) {
    co_return std::unexpected(failed(endpoint.address, ec.message()));
  }
  if (!address->is_unix()) {
    boost::system::error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  }

  auto core = std::make_shared<UpstreamCore>(queue_, loop_, std::move(socket), limits_);
  core->start();
  auto connection = std::make_unique<Upstream>(core, loop_);
  auto greeted = co_await (wait_greeted(*core) || timer.async_wait(asio::redirect_error(
                                                      asio::use_awaitable, timer_error)));
  if (core->settings_seen() && !core->closed()) co_return connection;
  std::string why = "it closed the connection before its HTTP/2 settings";
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) {
    why = "no HTTP/2 settings came from it";
  } else if (greeted.index() == 1) {
    why = "it did not answer as an HTTP/2 server within " + std::to_string(timeout.count()) + " ms";
  } else if (!core->broken_by().empty()) {
    why = "it does not speak HTTP/2 (" + core->broken_by() + ")";
  }
  co_return std::unexpected(failed(endpoint.address, why));
}

}  // namespace plugind::forward
