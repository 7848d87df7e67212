#include "daemon/forward/listener.h"

#include <utility>

namespace plugind::forward {

namespace asio = boost::asio;

namespace {
// After an accept that failed for want of descriptors or memory: trying at once would only spin.
constexpr std::chrono::milliseconds kPause{100};

const char* const kNoDescriptors =
    "plugind has as many open files as it may (LimitNOFILE=, ulimit -n)";

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

Listener::Listener(asio::any_io_executor loop, const HostPolicy& policy, DescriptorReserve& reserve,
                   platform::LocalSocket socket, Accepted accepted, Report report)
    : policy_(policy),
      reserve_(reserve),
      accepted_(std::move(accepted)),
      report_(std::move(report)),
      socket_(std::move(socket)),
      acceptor_(loop, asio::local::stream_protocol(), socket_.release()),
      pause_(loop) {
  boost::system::error_code ignored;
  acceptor_.non_blocking(true, ignored);  // For refuse_one().
}

std::shared_ptr<Listener> Listener::open(asio::any_io_executor loop, const HostPolicy& policy,
                                         DescriptorReserve& reserve, platform::LocalSocket socket,
                                         Accepted accepted, Report report) {
  return std::shared_ptr<Listener>(new Listener(std::move(loop), policy, reserve, std::move(socket),
                                                std::move(accepted), std::move(report)));
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
    if (ec == asio::error::no_descriptors) {
      report_("accept-failed",
              std::string(kNoDescriptors) + ": raise that limit, or lower --max-connections");
      if (refuse_one()) return accept();
    } else if (ec != asio::error::connection_aborted) {
      report_("accept-failed", ec.message());
    }
    pause_.expires_after(kPause);
    pause_.async_wait([self = shared_from_this()](const boost::system::error_code& stopped) {
      if (!stopped && !self->closed_) self->accept();
    });
    return;
  }
  if (const auto peer = policy_.identify(socket.native_handle())) {
    if (const auto why = accepted_(socket, *peer)) refuse(socket, *why);
  } else {
    report_("peer-unknown", peer.error().message);
  }
  accept();
}

/// Takes a connection with the descriptor in reserve, only to say that there is none.
bool Listener::refuse_one() {
  bool refused = false;
  reserve_.lend([&] {
    Transport::Socket socket(acceptor_.get_executor());
    boost::system::error_code ec;
    acceptor_.accept(socket, ec);
    if (!ec) refuse(socket, kNoDescriptors);
    refused = !ec;
  });
  return refused;
}

// GOAWAY where the client expects SETTINGS: so its attempt to connect has failed, and it waits
// before the next one.  After SETTINGS it would have succeeded, and grpc-go for one connects again
// at once.  What can show the frame's text shows why; others say that the connection was closed.
void Listener::refuse(Transport::Socket& socket, const std::string& why) {
  boost::system::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(goaway_frame(wire::kEnhanceYourCalm, why)), ignored);
}

void Listener::close() {
  closed_ = true;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
}

}  // namespace plugind::forward
