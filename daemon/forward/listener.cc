#include "daemon/forward/listener.h"

#include <utility>

namespace plugind::forward {

namespace asio = boost::asio;

namespace {
// After an accept that failed for want of descriptors or memory: trying at once would only spin.
constexpr std::chrono::milliseconds kPause{100};
}  // namespace

Listener::Listener(Context& context, platform::LocalSocket socket, std::string bound_plugin,
                   Report report)
    : context_(context),
      bound_plugin_(std::move(bound_plugin)),
      report_(std::move(report)),
      socket_(std::move(socket)),
      acceptor_(context.loop, asio::local::stream_protocol(), socket_.release()),
      pause_(context.loop) {}

std::shared_ptr<Listener> Listener::open(Context& context, platform::LocalSocket socket,
                                         std::string bound_plugin, Report report) {
  return std::shared_ptr<Listener>(
      new Listener(context, std::move(socket), std::move(bound_plugin), std::move(report)));
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
    if (ec != asio::error::connection_aborted) report_("accept-failed", ec.message());
    pause_.expires_after(kPause);
    pause_.async_wait([self = shared_from_this()](const boost::system::error_code& stopped) {
      if (!stopped && !self->closed_) self->accept();
    });
    return;
  }
  const auto peer = context_.policy.identify(socket.native_handle());
  if (!peer) {
    report_("peer-unknown", peer.error().message);
    return accept();
  }
  ++context_.counters.connections;
  const auto downstream = std::make_shared<Downstream>(
      context_, std::move(socket), bound_plugin_, context_.hosts.connected(*peer),
      [this, weak = weak_from_this()](Downstream& gone, const std::string& why) {
        const auto self = weak.lock();
        if (!self) return;
        --context_.counters.connections;
        context_.hosts.disconnected(gone.host());
        if (why.starts_with("protocol error")) {
          report_("host-protocol-error", gone.host().peer.host.describe() + ": " + why);
        }
        connections_.erase(&gone);
      });
  connections_.emplace(downstream.get(), downstream);
  downstream->start();
  accept();
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
    --context_.counters.connections;
    context_.hosts.disconnected(downstream->host());
    downstream->close();
  }
}

}  // namespace plugind::forward
