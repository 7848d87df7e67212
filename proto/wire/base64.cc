#include "proto/wire/base64.h"

namespace plugind::wire {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int value_of(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

}  // namespace

std::size_t base64_encode(const void* data, std::size_t size, char* to) {
  const auto* from = static_cast<const std::uint8_t*>(data);
  char* out = to;
  while (size >= 3) {
    *out++ = kAlphabet[from[0] >> 2];
    *out++ = kAlphabet[(from[0] & 0x3) << 4 | from[1] >> 4];
    *out++ = kAlphabet[(from[1] & 0xf) << 2 | from[2] >> 6];
    *out++ = kAlphabet[from[2] & 0x3f];
    from += 3;
    size -= 3;
  }
  if (size >= 1) {
    const std::uint8_t second = size == 2 ? from[1] : 0;
    *out++ = kAlphabet[from[0] >> 2];
    *out++ = kAlphabet[(from[0] & 0x3) << 4 | second >> 4];
    if (size == 2) *out++ = kAlphabet[(second & 0xf) << 2];
  }
  return static_cast<std::size_t>(out - to);
}

std::optional<std::size_t> base64_decode(std::string_view text, std::uint8_t* to) {
  if (text.size() % 4 == 0) {
    for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i) text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return std::nullopt;
  std::uint8_t* out = to;
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (char c : text) {
    const int value = value_of(c);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      *out++ = static_cast<std::uint8_t>(bits >> count);
    }
  }
  return static_cast<std::size_t>(out - to);
}

}  // namespace plugind::wire
