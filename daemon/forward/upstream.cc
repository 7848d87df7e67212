#include "daemon/forward/upstream.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "daemon/forward/own_call.h"

namespace plugind::forward {

namespace asio = boost::asio;

namespace {
StreamSink* sink_of(void* user) { return static_cast<StreamSink*>(user); }
}  // namespace

UpstreamCore::UpstreamCore(FlushQueue& queue, asio::any_io_executor loop, Transport::Socket socket,
                           const wire::Limits& limits)
    : transport_(std::make_shared<Transport>(queue, std::move(socket), wire::Role::kClient, limits,
                                             static_cast<wire::SessionHandler&>(*this),
                                             static_cast<Transport::Owner&>(*this))),
      changed_(std::move(loop), asio::steady_timer::time_point::max()) {}

void UpstreamCore::start() {
  self_ = shared_from_this();  // Until the connection has closed.
  transport_->start();
}

wire::StreamId UpstreamCore::open(const wire::HeaderList& headers, wire::Body* body,
                                  StreamSink& sink) {
  if (!accepts_streams()) return -1;
  const wire::StreamId stream = transport_->session().submit_request(headers, body, &sink);
  if (stream < 0) return -1;
  fresh_ = false;
  sink.headers_queued_at_ = StreamSink::kNotQueued;
  sinks_.push_back(sink);
  transport_->touch();
  return stream;
}

std::shared_ptr<void> UpstreamCore::wait_place(std::function<void()> callback) {
  const auto wait = std::make_shared<PlaceWait>();
  wait->callback = std::move(callback);
  places_.push_back(*wait);
  return wait;
}

void UpstreamCore::give_places() {
  while (!places_.empty() && (!accepts_streams() || has_place())) {
    const auto callback = std::move(places_.front().callback);
    places_.pop_front();
    callback();
  }
}

void UpstreamCore::close() {
  if (closed_) return;
  closed_ = true;
  const auto keep = std::exchange(self_, nullptr);
  transport_->detach();
  lose_streams();
  give_places();
  changed_.cancel();
}

void UpstreamCore::release() {
  going_away_ = true;
  give_places();
  changed_.cancel();
  close_if_released();
}

void UpstreamCore::close_if_released() {
  if (going_away_ && sinks_.empty() && !closed_) {
    // Not from inside a callback of the session.
    asio::post(changed_.get_executor(), [self = shared_from_this()] {
      if (self->sinks_.empty()) self->close();
    });
  }
}

void UpstreamCore::lose_streams() {
  while (!sinks_.empty()) {
    StreamSink& sink = sinks_.front();
    sinks_.pop_front();
    sink.on_connection_lost(sink.headers_queued_at_ != StreamSink::kNotQueued &&
                            sink.headers_queued_at_ < transport_->written_total());
  }
}

void UpstreamCore::on_transport_closed(const std::string& why) {
  closed_ = true;
  if (why.starts_with("protocol error")) broken_by_ = why;
  const auto keep = std::exchange(self_, nullptr);
  lose_streams();
  give_places();
  changed_.cancel();
}

void UpstreamCore::on_headers(wire::StreamId, void* user, Block block, wire::HeaderList& headers,
                              bool end_stream) {
  if (user != nullptr) sink_of(user)->on_headers(block, headers, end_stream);
}

void UpstreamCore::on_data(wire::StreamId, void* user, const std::uint8_t* data, std::size_t size) {
  // What belongs to no stream any more nghttp2 drops, and gives back, by itself.
  if (user != nullptr) sink_of(user)->on_data(data, size);
}

void UpstreamCore::on_end_of_data(wire::StreamId, void* user) {
  if (user != nullptr) sink_of(user)->on_end_of_data();
}

void UpstreamCore::on_body_sent(wire::StreamId, void* user, std::size_t size) {
  if (user != nullptr) sink_of(user)->on_body_sent(size);
}

void UpstreamCore::on_headers_too_large(wire::StreamId, void* user, Block) {
  if (user != nullptr) sink_of(user)->on_headers_too_large();
}

void UpstreamCore::on_request_headers_sent(wire::StreamId, void* user) {
  // The frame is in the output by now or is about to be; in either case no byte of it can have been
  // written before what is queued now.
  if (user != nullptr) sink_of(user)->headers_queued_at_ = transport_->queued_total();
}

void UpstreamCore::on_stream_closed(wire::StreamId, void* user, std::uint32_t error_code) {
  if (user == nullptr) return;
  StreamSink& sink = *sink_of(user);
  sinks_.erase(sinks_.iterator_to(sink));
  sink.on_closed(error_code);
  give_places();
  close_if_released();
}

void UpstreamCore::on_goaway(wire::StreamId, std::uint32_t error_code) {
  going_away_ = true;
  said_goodbye_ = error_code == wire::kNoError;
  give_places();
  changed_.cancel();
  close_if_released();
}

void UpstreamCore::on_settings() {
  settings_seen_ = true;
  give_places();
  changed_.cancel();
}

Upstream::Upstream(std::shared_ptr<UpstreamCore> core, asio::any_io_executor loop)
    : core_(std::move(core)), loop_(std::move(loop)), alive_(std::make_shared<int>(0)) {}

Upstream::~Upstream() {
  alive_.reset();
  // After a GOAWAY the calls that the plugin accepted go on; otherwise this is the end of them.
  if (core_->accepts_streams()) {
    core_->close();
  } else {
    core_->release();
  }
}

asio::awaitable<std::expected<plugin::CallResult, Error>> Upstream::unary(
    std::string method, std::string request, std::chrono::milliseconds timeout) {
  co_return co_await OwnCall::unary(core_, loop_, std::move(method), std::move(request), timeout);
}

void Upstream::server_stream(std::string method, std::string request,
                             std::function<void(std::string_view)> on_message,
                             std::function<void(plugin::CallResult)> on_end) {
  OwnCall::server_stream(core_, alive_, std::move(method), std::move(request),
                         std::move(on_message), std::move(on_end));
}

asio::awaitable<void> Upstream::wait_closed() {
  const auto core = core_;  // This object may go while the coroutine waits.
  while (core->accepts_streams()) {
    boost::system::error_code ignored;
    co_await core->changed().async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      co_return;
  }
}

}  // namespace plugind::forward
