// Where the daemon listens.
#pragma once

#include <expected>
#include <string>

namespace plugind::pluginctl {

struct Address {
  std::string text;    ///< "unix:/path" or "tcp:HOST:PORT", for messages.
  std::string target;  ///< The same as gRPC spells it.
  std::string path;    ///< Of a Unix socket; else "".
};

/// Reads "unix:/path", "tcp:HOST:PORT" (a loopback host) or an absolute path.  An empty text means
/// what libplugind takes it for: $PLUGIND_SOCKET, else $XDG_RUNTIME_DIR/plugind/plugind.sock, else
/// /run/plugind/plugind.sock.
std::expected<Address, std::string> parse_address(std::string text);

}  // namespace plugind::pluginctl
