// The value of the grpc-timeout header: one to eight digits and a unit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace plugind::wire {

/// Nanoseconds; more than an int64 holds (292 years) becomes its maximum.  Empty when `text` is not
/// a timeout.
std::optional<std::int64_t> parse_grpc_timeout(std::string_view text);

struct GrpcTimeoutText {
  char text[9];
  std::uint8_t size;
  std::string_view view() const { return {text, size}; }
};

/// In the finest unit that eight digits can say, rounded up, so that a peer never gives up before
/// the caller does.  Zero and less become "0n".
GrpcTimeoutText format_grpc_timeout(std::int64_t nanoseconds);

}  // namespace plugind::wire
