#include "daemon/forward/own_call.h"

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <charconv>
#include <utility>

#include "daemon/forward/upstream.h"
#include "proto/wire/grpc_timeout.h"
#include "proto/wire/percent.h"

namespace plugind::forward {

namespace asio = boost::asio;

namespace {

// A plugin's answer to the daemon's own questions is small; more is dropped.
constexpr std::size_t kMaxMessage = 1 << 20;

Error lost() {
  return make_error(Reason::kPluginProtocolError, "the connection to the plugin was lost");
}

}  // namespace

OwnCall::OwnCall(std::weak_ptr<void> alive, MessageHandler on_message, EndHandler on_end)
    : alive_(std::move(alive)), on_message_(std::move(on_message)), on_end_(std::move(on_end)) {}

bool OwnCall::start(UpstreamCore& core, OwnCall* call, const std::string& method,
                    const std::string& request, std::chrono::milliseconds timeout) {
  std::array<std::uint8_t, wire::kMessagePrefixSize> prefix;
  wire::write_message_prefix(prefix.data(), static_cast<std::uint32_t>(request.size()));
  call->body_.bytes.append(prefix.data(), prefix.size());
  call->body_.bytes.append(request.data(), request.size());
  call->body_.finished = true;

  wire::HeaderList headers;
  headers.add(":method", "POST");
  headers.add(":scheme", "http");
  headers.add(":path", method);
  headers.add(":authority", "localhost");
  headers.add("te", "trailers");
  headers.add("content-type", "application/grpc");
  headers.add("user-agent", "plugind");
  if (timeout.count() > 0) {
    headers.add("grpc-timeout",
                wire::format_grpc_timeout(
                    std::chrono::duration_cast<std::chrono::nanoseconds>(timeout).count())
                    .view());
  }
  call->transport_ = core.transport();
  call->stream_ = core.open(headers, &call->body_, *call);
  if (call->stream_ >= 0) return true;
  delete call;
  return false;
}

void OwnCall::on_headers(wire::SessionHandler::Block, wire::HeaderList& headers, bool end_stream) {
  if (!end_stream) return;
  const std::string_view status = headers.get("grpc-status");
  int code = static_cast<int>(StatusCode::kUnknown);
  std::from_chars(status.data(), status.data() + status.size(), code);
  has_status_ = true;
  result_.code = static_cast<StatusCode>(code);
  const std::string_view message = headers.get("grpc-message");
  result_.message.resize(message.size());
  result_.message.resize(wire::percent_decode(message, result_.message.data()));
}

void OwnCall::on_data(const std::uint8_t* data, std::size_t size) {
  transport_->session().consume(stream_, size);
  transport_->touch();
  while (true) {
    const wire::MessageScanner::Step step = scanner_.next(data, size);
    using Event = wire::MessageScanner::Event;
    if (step.event == Event::kNeedMore || step.event == Event::kInvalid) return;
    if (step.event == Event::kBegin) message_.clear();
    if (step.event == Event::kPayload && message_.size() + step.size <= kMaxMessage) {
      message_.append(reinterpret_cast<const char*>(step.data), step.size);
    }
    if (step.event == Event::kEnd && !alive_.expired()) on_message_(message_);
  }
}

void OwnCall::on_headers_too_large() { transport_->session().reset(stream_, wire::kCancel); }

void OwnCall::on_closed(std::uint32_t error_code) {
  if (has_status_) return end(std::move(result_));
  end(plugin::CallResult{
      StatusCode::kInternal,
      "the stream ended without a status (HTTP/2 error " + std::to_string(error_code) + ")",
      {}});
}

void OwnCall::on_connection_lost(bool) { end(std::unexpected(lost())); }

void OwnCall::end(std::expected<plugin::CallResult, Error> outcome) {
  if (!alive_.expired()) on_end_(std::move(outcome));
  delete this;
}

asio::awaitable<std::expected<plugin::CallResult, Error>> OwnCall::unary(
    std::shared_ptr<UpstreamCore> core, asio::any_io_executor loop, std::string method,
    std::string request, std::chrono::milliseconds timeout) {
  struct State {
    explicit State(const asio::any_io_executor& loop) : done(loop) {}
    asio::steady_timer done;  // Cancelled when the call has ended.
    std::string reply;
    std::optional<std::expected<plugin::CallResult, Error>> outcome;
  };
  const auto state = std::make_shared<State>(loop);
  auto* call = new OwnCall(
      state, [s = state.get()](std::string_view message) { s->reply = message; },
      [s = state.get()](std::expected<plugin::CallResult, Error> outcome) {
        s->outcome = std::move(outcome);
        s->done.cancel();
      });
  state->done.expires_after(timeout);
  if (!start(*core, call, method, request, timeout)) co_return std::unexpected(lost());
  const wire::StreamId stream = call->stream_;  // `call` may be gone after the wait.
  boost::system::error_code ignored;
  co_await state->done.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  if (!state->outcome) {
    // The deadline, or whoever awaited this gave up.  The call deletes itself once it is reset.
    core->transport()->session().reset(stream, wire::kCancel);
    core->transport()->touch();
    co_return plugin::CallResult{StatusCode::kDeadlineExceeded,
                                 "no answer within " + std::to_string(timeout.count()) + " ms",
                                 {}};
  }
  if (*state->outcome) (*state->outcome)->reply = std::move(state->reply);
  co_return std::move(*state->outcome);
}

void OwnCall::server_stream(const std::shared_ptr<UpstreamCore>& core, std::weak_ptr<void> alive,
                            std::string method, std::string request,
                            std::function<void(std::string_view)> on_message,
                            std::function<void(plugin::CallResult)> on_end) {
  auto* call = new OwnCall(
      std::move(alive), std::move(on_message),
      [on_end](const std::expected<plugin::CallResult, Error>& outcome) {
        on_end(outcome ? *outcome
                       : plugin::CallResult{StatusCode::kUnavailable, outcome.error().message, {}});
      });
  if (!start(*core, call, method, request, std::chrono::milliseconds::zero())) {
    on_end(plugin::CallResult{StatusCode::kUnavailable, lost().message, {}});
  }
}

}  // namespace plugind::forward
