#include "daemon/forward/listener.h"

#include <boost/asio/buffer.hpp>
#include <chrono>
#include <utility>

namespace plugind::forward {

namespace asio = boost::asio;

namespace {
// After an accept that failed for want of descriptors or memory: trying at once would only spin.
constexpr std::chrono::milliseconds kPause{100};

/// RFC 9113, 6.8.
std::string goaway_frame(std::uint32_t error_code, const std::string& text) {
  const std::size_t size = 8 + text.size();
  std::string frame{static_cast<char>(size >> 16), static_cast<char>(size >> 8),
                    static_cast<char>(size), '\7', '\0'};
  frame.append(8, '\0');  // The connection's stream; the last stream that was heard of.
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(error_code >> shift);
  return frame + text;
}
}  // namespace

Listener::Listener(Context& context, platform::LocalSocket socket, std::string bound_plugin)
    : context_(context),
      bound_plugin_(std::move(bound_plugin)),
      socket_(std::move(socket)),
      acceptor_(context.loop, asio::local::stream_protocol(), socket_.release()),
      pause_(context.loop) {}

std::shared_ptr<Listener> Listener::open(Context& context, platform::LocalSocket socket,
                                         std::string bound_plugin) {
  return std::shared_ptr<Listener>(
      new Listener(context, std::move(socket), std::move(bound_plugin)));
}

void Listener::start() { accept(); }

void Listener::accept() {
  acceptor_.async_accept([self = shared_from_this()](const boost::system::error_code& ec,
                                                     Acceptor::protocol_type::socket socket) {
    self->on_accept(ec, std::move(socket));
  });
}

void Listener::on_accept(const boost::system::error_code& ec, Transport::Socket socket) {
  if (closed_ || ec == asio::error::operation_aborted) return;
  if (ec) {
    if (ec != asio::error::connection_aborted) context_.report("accept-failed", ec.message());
    pause_.expires_after(kPause);
    pause_.async_wait([self = shared_from_this()](const boost::system::error_code& stopped) {
      if (!stopped && !self->closed_) self->accept();
    });
    return;
  }
  const auto peer = context_.policy.identify(socket.native_handle());
  if (!peer) {
    context_.report("peer-unknown", peer.error().message);
    return accept();
  }
  if (const auto why = context_.admission.enter(*peer)) {
    refuse(std::move(socket), *peer, *why);
    return accept();
  }
  ++context_.counters.connections;
  const auto downstream = std::make_shared<Downstream>(
      context_, std::move(socket), bound_plugin_, context_.hosts.connected(*peer),
      [this, weak = weak_from_this()](Downstream& gone, const std::string& why) {
        const auto self = weak.lock();
        if (!self) return;
        self->closed(gone);
        if (why.starts_with("protocol error")) {
          context_.report("host-protocol-error", gone.host().peer.host.describe() + ": " + why);
        }
        connections_.erase(&gone);
      });
  connections_.emplace(downstream.get(), downstream);
  downstream->start();
  accept();
}

void Listener::closed(const Downstream& downstream) {
  --context_.counters.connections;
  context_.hosts.disconnected(downstream.host());
  context_.admission.leave(downstream.host().peer);
}

// GOAWAY where the client expects SETTINGS: so its attempt to connect has failed, and it waits
// before the next one.  After SETTINGS it would have succeeded, and grpc-go for one connects again
// at once.  What can show the frame's text shows why; others say that the connection was closed.
void Listener::refuse(Transport::Socket socket, const platform::PeerIdentity& peer,
                      const std::string& why) {
  const std::string who = peer.known ? "uid " + std::to_string(peer.uid) : "unknown";
  const auto line = context_.refusals.note("connections of " + who, "of " + who + ": " + why,
                                           std::chrono::steady_clock::now());
  if (line) context_.report("connection-refused", *line);
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(goaway_frame(wire::kEnhanceYourCalm, why)), ignored);
}

void Listener::close_acceptor() {
  closed_ = true;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
}

void Listener::drain() {
  close_acceptor();
  for (const auto& [key, downstream] : connections_) downstream->drain();
}

void Listener::close() {
  close_acceptor();
  for (auto& [key, downstream] : std::exchange(connections_, {})) {
    closed(*downstream);
    downstream->close();
  }
}

}  // namespace plugind::forward
