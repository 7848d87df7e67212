// Base64 (RFC 4648 section 4) as gRPC uses it for metadata whose name ends in "-bin".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace plugind::wire {

/// How many characters base64_encode writes.
constexpr std::size_t base64_encoded_size(std::size_t size) {
  return size / 3 * 4 + (size % 3 == 0 ? 0 : size % 3 + 1);
}

/// Writes base64_encoded_size(size) characters, without padding as gRPC asks; returns that number.
std::size_t base64_encode(const void* data, std::size_t size, char* to);

/// The most bytes that base64_decode writes.
constexpr std::size_t base64_decoded_bound(std::size_t text_size) { return text_size / 4 * 3 + 3; }

/// Decodes with or without padding and returns the number of bytes; empty when `text` is not
/// base64.  `to` has room for base64_decoded_bound(text.size()) bytes.
std::optional<std::size_t> base64_decode(std::string_view text, std::uint8_t* to);

}  // namespace plugind::wire
