// Where a plugin listens, as plugind's native dialect tells it.
#pragma once

#include <expected>
#include <optional>
#include <string>

namespace echo {

struct Listen {
  /// A Unix socket that listens already; then `address` is empty.
  std::optional<int> descriptor;
  /// As grpc++ understands it: "unix:/path" or "HOST:PORT".
  std::string address;
};

/// Reads, in this order: LISTEN_FDS and LISTEN_PID (descriptor 3), PLUGIND_LISTEN, `option`.
/// Addresses are "unix:/path" or "tcp:HOST:PORT".  The error is a sentence for people.
std::expected<Listen, std::string> find_listen(const std::string& option);

}  // namespace echo
