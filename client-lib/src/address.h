// Where the daemon listens.
#pragma once

#include <cstddef>
#include <cstdint>

struct pd_error;

namespace plugind::client {

struct Address {
  enum class Kind { kUnix, kIpv4, kIpv6 };
  Kind kind = Kind::kUnix;
  char path[108] = {};       // kUnix: with its zero byte.
  std::uint8_t ip[16] = {};  // kIpv4: the first four, in network order.
  std::uint16_t port = 0;    // In host order.
  char text[160] = {};       // For messages, for example "unix:/run/plugind/plugind.sock".
};

/// Reads `text`, or the environment when it is null, as pd_connect documents.  Returns null, or the
/// error when the address cannot be understood.
pd_error* parse_address(const char* text, Address& address);

}  // namespace plugind::client
