#include "daemon/forward/downstream.h"

#include <utility>

namespace plugind::forward {

namespace {
Call* call_of(void* user) { return static_cast<Call*>(user); }
}  // namespace

Downstream::Downstream(Context& context, Transport::Socket socket, std::string bound_plugin,
                       Host host, Closed closed)
    : context_(context),
      bound_plugin_(std::move(bound_plugin)),
      host_(std::move(host)),
      closed_(std::move(closed)),
      transport_(std::make_shared<Transport>(
          context.queue, std::move(socket), wire::Role::kServer, context.limits,
          static_cast<wire::SessionHandler&>(*this), static_cast<Transport::Owner&>(*this))),
      idle_(context.deadlines, context.policy.idle_timeout, [this] { on_idle(); }) {}

// While it has calls, the host may not have read the GOAWAY when it makes another one.  That is let
// in to be told why it is refused: after the second half of a GOAWAY it could only be reset.
void Downstream::drain() {
  awaits_end_ = !calls_.empty() || !transport_->session().output().empty();
  if (calls_.empty()) return take_no_more();
  drains_ = true;
  transport_->session().submit_goaway_notice();
  transport_->touch();
}

void Downstream::take_no_more() {
  transport_->session().submit_goaway();
  transport_->touch();
}

// The two steps of RFC 9113 section 6.8: calls that are on their way when the host hears of it are
// still served.  A client that has no call then closes by itself; for others the end comes when the
// connection has been idle once more.
void Downstream::on_idle() {
  // Its instances end with a host's last connection, and with them the state that they keep for it.
  context_.plugins.ask_serves({host_.process, host_.connection},
                              [weak = weak_from_this()](bool serves) {
                                const auto self = weak.lock();
                                if (self && !serves) self->say_goodbye();
                              });
}

void Downstream::say_goodbye() {
  const FlushQueue::Turn turn(context_.queue);
  if (std::exchange(says_goodbye_, true)) return take_no_more();
  transport_->session().submit_goaway_notice();
  transport_->touch();
}

void Downstream::close() {
  stop_timers();
  transport_->session().terminate(wire::kNoError);
  transport_->detach();
  lose_calls();
}

void Downstream::lose_calls() {
  while (!calls_.empty()) {
    Call& call = calls_.front();
    calls_.pop_front();
    idle_.call_ended();
    call.on_downstream_lost();
  }
}

void Downstream::on_transport_closed(const std::string& why) {
  const auto self = shared_from_this();
  stop_timers();
  lose_calls();
  closed_(*this, why);
}

bool Downstream::on_transport_finished() {
  // The host broke HTTP/2 in a way that ends the session with calls left.
  if (!calls_.empty()) return false;
  const auto end = context_.deadlines.now() + context_.policy.linger;
  linger_ = context_.deadlines.add(end, [this] {
    linger_.reset();
    transport_->detach();
    on_transport_closed("");
  });
  return true;
}

void Downstream::stop_timers() {
  idle_.stop();
  if (linger_) context_.deadlines.remove(*std::exchange(linger_, std::nullopt));
}

void Downstream::end_interest(plugin::CallTarget& plugin) {
  interest_ended_ = true;
  plugin.host_gone(host_.id(plugin.manifest().scope));
}

void Downstream::note_plugin_call() {
  if (!std::exchange(interest_ended_, false)) return;
  context_.plugins.host_back(host_.process);
  context_.plugins.host_back(host_.connection);
}

void* Downstream::on_stream_opened(wire::StreamId stream) {
  auto* call = new Call(context_, *this, stream);
  calls_.push_back(*call);
  idle_.call_began();
  return call;
}

void Downstream::on_headers(wire::StreamId, void* user, Block block, wire::HeaderList& headers,
                            bool end_stream) {
  if (user == nullptr) return;
  if (block == Block::kRequest) {
    call_of(user)->on_request(headers, end_stream);
  } else if (end_stream) {
    // gRPC has no request trailers; what ends the request ends it.
    call_of(user)->on_request_end();
  }
}

void Downstream::on_data(wire::StreamId, void* user, const std::uint8_t* data, std::size_t size) {
  // What belongs to no stream any more nghttp2 drops, and gives back, by itself.
  if (user != nullptr) call_of(user)->on_request_data(data, size);
}

void Downstream::on_end_of_data(wire::StreamId, void* user) {
  if (user != nullptr) call_of(user)->on_request_end();
}

void Downstream::on_body_sent(wire::StreamId, void* user, std::size_t size) {
  if (user != nullptr) call_of(user)->on_response_body_sent(size);
}

void Downstream::on_headers_too_large(wire::StreamId, void* user, Block) {
  if (user != nullptr) call_of(user)->on_request_headers_too_large();
}

void Downstream::on_stream_closed(wire::StreamId, void* user, std::uint32_t) {
  if (user == nullptr) return;
  Call& call = *call_of(user);
  calls_.erase(calls_.iterator_to(call));
  idle_.call_ended();
  call.on_downstream_closed();
  if (drains_ && calls_.empty()) take_no_more();
}

}  // namespace plugind::forward
