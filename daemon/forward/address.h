// Addresses as every part of plugind writes them: "unix:/path", "tcp:HOST:PORT", "/path".
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <expected>
#include <string>
#include <string_view>

#include "daemon/error.h"

namespace plugind::forward {

struct Address {
  std::string path;  ///< Of a Unix socket; "" for TCP.
  std::string host;  ///< An IP address, without brackets.
  std::uint16_t port = 0;

  bool is_unix() const { return !path.empty(); }
  std::string to_string() const;
  /// Error (SocketPathTooLong): the path does not fit.
  std::expected<boost::asio::generic::stream_protocol::endpoint, Error> endpoint() const;
};

/// "localhost" is understood as 127.0.0.1.  Error (ConfigInvalid): anything else than the three
/// forms, or a TCP host that is not a loopback address: plugind does not serve networks.
std::expected<Address, Error> parse_address(std::string_view text);

}  // namespace plugind::forward
