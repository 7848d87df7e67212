// A listening socket: accepts connections, and finds out who is at their other end.
#pragma once

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/forward/context.h"
#include "daemon/forward/descriptor_reserve.h"
#include "daemon/forward/transport.h"
#include "daemon/platform/local_socket.h"
#include "daemon/platform/peer_identity.h"

namespace plugind::forward {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  /// Called with each connection.  Takes the socket, or says why the connection may not be, which
  /// the host is then told.
  using Accepted = std::function<std::optional<std::string>(Transport::Socket& socket,
                                                            const platform::PeerIdentity& peer)>;

  /// Takes over a listening Unix socket.  `policy` and `reserve` outlive the listener, until
  /// close().
  static std::shared_ptr<Listener> open(boost::asio::any_io_executor loop, const HostPolicy& policy,
                                        DescriptorReserve& reserve, platform::LocalSocket socket,
                                        Accepted accepted, Report report);
  void start();
  /// Takes no new connection.
  void close();

 private:
  using Acceptor = boost::asio::local::stream_protocol::acceptor;

  Listener(boost::asio::any_io_executor loop, const HostPolicy& policy, DescriptorReserve& reserve,
           platform::LocalSocket socket, Accepted accepted, Report report);
  void accept();
  bool refuse_one();
  void on_accept(const boost::system::error_code& ec, Transport::Socket socket);
  static void refuse(Transport::Socket& socket, const std::string& why);

  const HostPolicy& policy_;
  DescriptorReserve& reserve_;
  Accepted accepted_;
  Report report_;
  // Its file and lock stay as long as this object, so that no other daemon comes in between.
  platform::LocalSocket socket_;
  Acceptor acceptor_;
  boost::asio::steady_timer pause_;
  bool closed_ = false;
};

}  // namespace plugind::forward
