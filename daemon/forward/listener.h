// A listening socket and the connections of hosts that came in on it.
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "daemon/forward/context.h"
#include "daemon/forward/downstream.h"
#include "daemon/platform/local_socket.h"

namespace plugind::forward {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  /// Takes over a listening Unix socket.
  static std::shared_ptr<Listener> open(Context& context, platform::LocalSocket socket,
                                        std::string bound_plugin);
  void start();
  /// Takes no new connection and says GOAWAY on those there are.
  void drain();
  /// Closes everything; calls in flight are cancelled.
  void close();

 private:
  using Acceptor = boost::asio::local::stream_protocol::acceptor;

  Listener(Context& context, platform::LocalSocket socket, std::string bound_plugin);
  void accept();
  void on_accept(const boost::system::error_code& ec, Transport::Socket socket);
  void refuse(Transport::Socket socket, const platform::PeerIdentity& peer, const std::string& why);
  void closed(const Downstream& downstream);
  void close_acceptor();

  Context& context_;
  const std::string bound_plugin_;
  // Its file and lock stay as long as this object, so that no other daemon comes in between.
  platform::LocalSocket socket_;
  Acceptor acceptor_;
  boost::asio::steady_timer pause_;
  std::unordered_map<Downstream*, std::shared_ptr<Downstream>> connections_;
  bool closed_ = false;
};

}  // namespace plugind::forward
