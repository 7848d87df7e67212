#include "tests/support/fake_connection.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <utility>

namespace plugind::testing {

namespace asio = boost::asio;
using plugin::CallResult;
using namespace asio::experimental::awaitable_operators;

namespace {

Error connection_failed() {
  return make_error(Reason::kPluginProtocolError, "the connection was closed");
}

FakeConnection::Answer default_answer(const FakeConnection::Unary& call) {
  if (call.method == "/grpc.health.v1.Health/Check") {
    return CallResult{StatusCode::kOk, "", std::string("\x08\x01", 2)};  // SERVING
  }
  return CallResult{StatusCode::kUnimplemented, "unknown method " + call.method, ""};
}

}  // namespace

// What the code under test holds.
class FakeConnectionHandle : public plugin::Connection {
 public:
  explicit FakeConnectionHandle(std::shared_ptr<FakeConnection> connection)
      : connection_(std::move(connection)) {}
  ~FakeConnectionHandle() override {
    connection_->destroyed = true;
    for (auto& stream : connection_->streams) stream.on_message = nullptr, stream.on_end = nullptr;
    connection_->fail();
  }

  asio::awaitable<std::expected<CallResult, Error>> unary(
      std::string method, std::string request, std::chrono::milliseconds timeout) override {
    const std::shared_ptr<FakeConnection> connection = connection_;
    if (!connection->alive()) co_return std::unexpected(connection_failed());
    const FakeConnection::Unary call{std::move(method), std::move(request), timeout};
    connection->calls.push_back(call);
    const auto answer = connection->on_unary ? connection->on_unary(call) : default_answer(call);
    if (answer) co_return *answer;
    auto timed_out = connection->clock_.sleep(timeout);
    auto closed = connection->closed_.wait();
    const auto which = co_await (std::move(timed_out) || std::move(closed));
    if (which.index() == 0) {
      co_return CallResult{StatusCode::kDeadlineExceeded, "deadline exceeded", ""};
    }
    co_return std::unexpected(connection_failed());
  }

  void server_stream(std::string method, std::string request,
                     std::function<void(std::string_view)> on_message,
                     std::function<void(CallResult)> on_end) override {
    connection_->streams.push_back(
        {std::move(method), std::move(request), std::move(on_message), std::move(on_end)});
  }

  bool alive() const override { return connection_->alive(); }
  bool said_goodbye() const override { return connection_->said_goodbye_; }
  asio::awaitable<void> wait_closed() override { return connection_->closed_.wait(); }

 private:
  std::shared_ptr<FakeConnection> connection_;
};

void FakeConnection::fail() {
  if (!alive()) return;
  closed_.open();
  for (std::size_t i = 0; i < streams.size(); ++i) {
    end(i, {StatusCode::kUnavailable, "the connection was closed", ""});
  }
}

void FakeConnection::say_goodbye() {
  said_goodbye_ = true;
  closed_.open();
}

void FakeConnection::send(std::size_t index, std::string_view message) {
  if (streams.at(index).on_message) streams[index].on_message(message);
}

void FakeConnection::end(std::size_t index, CallResult result) {
  streams.at(index).on_message = nullptr;
  if (auto on_end = std::exchange(streams[index].on_end, nullptr)) on_end(std::move(result));
}

asio::awaitable<std::expected<std::unique_ptr<plugin::Connection>, Error>> FakeConnector::connect(
    plugin::Endpoint endpoint, std::chrono::milliseconds timeout) {
  attempts.push_back(endpoint);
  auto connection = std::make_shared<FakeConnection>(clock_);
  connection->endpoint = endpoint;
  connection->connect_timeout = timeout;
  switch (on_connect ? on_connect(*connection) : Verdict::kAccept) {
    case Verdict::kRefuse:
      co_return std::unexpected(
          make_error(Reason::kConnectFailed, endpoint.address + ": connection refused"));
    case Verdict::kSilence:
      co_await clock_.sleep(timeout);
      co_return std::unexpected(make_error(
          Reason::kConnectFailed, endpoint.address + ": no HTTP/2 settings within the timeout"));
    case Verdict::kAccept:
      break;
  }
  connections.push_back(connection);
  co_return std::make_unique<FakeConnectionHandle>(connection);
}

}  // namespace plugind::testing
