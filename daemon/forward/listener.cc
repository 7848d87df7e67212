#include "daemon/forward/listener.h"

#include <boost/asio/ip/address.hpp>
#include <utility>

namespace plugind::forward {

namespace asio = boost::asio;

namespace {
// After an accept that failed for want of descriptors or memory: trying at once would only spin.
constexpr std::chrono::milliseconds kPause{100};
}  // namespace

Listener::Listener(Context& context, std::string bound_plugin, Report report)
    : context_(context),
      bound_plugin_(std::move(bound_plugin)),
      report_(std::move(report)),
      pause_(context.loop) {}

std::shared_ptr<Listener> Listener::on_unix(Context& context, platform::LocalSocket socket,
                                            std::string bound_plugin, Report report) {
  std::shared_ptr<Listener> listener(
      new Listener(context, std::move(bound_plugin), std::move(report)));
  listener->acceptor_.emplace<UnixAcceptor>(context.loop, asio::local::stream_protocol(),
                                            socket.release());
  listener->socket_.emplace(std::move(socket));
  return listener;
}

std::expected<std::shared_ptr<Listener>, Error> Listener::on_tcp(Context& context,
                                                                 const std::string& host,
                                                                 std::uint16_t port,
                                                                 Report report) {
  std::shared_ptr<Listener> listener(new Listener(context, "", std::move(report)));
  auto& acceptor = listener->acceptor_.emplace<TcpAcceptor>(context.loop);
  const asio::ip::tcp::endpoint endpoint(asio::ip::make_address(host), port);
  boost::system::error_code ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(asio::socket_base::max_listen_connections, ec);
  if (ec) {
    const Reason reason =
        ec == asio::error::address_in_use ? Reason::kSocketInUse : Reason::kSystem;
    return std::unexpected(make_error(
        reason, "cannot listen on tcp:" + host + ":" + std::to_string(port) + ": " + ec.message()));
  }
  return listener;
}

void Listener::start() { accept(); }

void Listener::accept() {
  const auto accepted = [self = shared_from_this()](const boost::system::error_code& ec,
                                                    auto socket) {
    self->on_accept(ec, std::move(socket));
  };
  if (auto* local = std::get_if<UnixAcceptor>(&acceptor_)) {
    local->async_accept(accepted);
  } else if (auto* tcp = std::get_if<TcpAcceptor>(&acceptor_)) {
    tcp->async_accept(accepted);
  }
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
  const auto peer = platform::peer_identity(socket.native_handle());
  if (!peer) {
    report_("peer-unknown", peer.error().message);
    return accept();
  }
  if (!peer->known) {
    boost::system::error_code ignored;
    socket.set_option(asio::ip::tcp::no_delay(true), ignored);
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
  boost::system::error_code ignored;
  if (auto* local = std::get_if<UnixAcceptor>(&acceptor_)) local->close(ignored);
  if (auto* tcp = std::get_if<TcpAcceptor>(&acceptor_)) tcp->close(ignored);
  acceptor_.emplace<std::monostate>();
  pause_.cancel();
  socket_.reset();
}

void Listener::drain() {
  closed_ = true;
  close_acceptor();
  for (const auto& [key, downstream] : connections_) downstream->drain();
}

void Listener::close() {
  closed_ = true;
  close_acceptor();
  for (auto& [key, downstream] : std::exchange(connections_, {})) {
    --context_.counters.connections;
    context_.hosts.disconnected(downstream->host());
    downstream->close();
  }
}

}  // namespace plugind::forward
