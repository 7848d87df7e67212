// Percent-encoding of the grpc-message header.
#pragma once

#include <cstddef>
#include <string_view>

namespace plugind::wire {

/// How many bytes percent_encode writes for `text`.
std::size_t percent_encoded_size(std::string_view text);

/// Printable ASCII but '%' stays, every other byte becomes %XX.  Writes percent_encoded_size(text)
/// bytes to `to` and returns that number.
std::size_t percent_encode(std::string_view text, char* to);

/// Writes at most text.size() bytes to `to`, which may be text.data(); returns how many.  What is
/// not a valid %XX stays as it is, as the gRPC specification asks: a message is never lost.
std::size_t percent_decode(std::string_view text, char* to);

}  // namespace plugind::wire
