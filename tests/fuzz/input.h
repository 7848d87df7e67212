// What the fuzz targets share: reading an input, and failing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

// Not assert: a target must fail in every build.
#define REQUIRE(condition)                                                                \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)

namespace plugind::fuzz {

/// Takes an input apart from its front.  At its end it gives zeros and empty texts.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  bool empty() const { return size_ == 0; }
  std::uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  /// At most `size` bytes.
  std::string_view bytes(std::size_t size) {
    if (size > size_) size = size_;
    const std::string_view result(reinterpret_cast<const char*>(data_), size);
    data_ += size;
    size_ -= size;
    return result;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

/// What may stand in a message of gRPC's or protobuf's, and on a terminal: UTF-8 without control
/// characters but tab and newline.
inline bool is_fit_for_messages(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t at) -> std::uint32_t {
      return at < text.size() ? static_cast<std::uint8_t>(text[at]) : 0u;
    };
    const std::uint32_t first = byte(i);
    std::size_t length = 1;
    std::uint32_t code = first;
    if (first >= 0xf0) {
      length = 4, code = first & 0x07;
    } else if (first >= 0xe0) {
      length = 3, code = first & 0x0f;
    } else if (first >= 0x80) {
      length = 2, code = first & 0x1f;
    }
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return false;
      code = code << 6 | (byte(i + k) & 0x3f);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
      return false;
    }
    if ((code < 0x20 && code != '\t' && code != '\n') || (code >= 0x7f && code < 0xa0))
      return false;
    i += length;
  }
  return true;
}

}  // namespace plugind::fuzz
