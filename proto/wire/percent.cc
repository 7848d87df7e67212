#include "proto/wire/percent.h"

namespace plugind::wire {
namespace {

bool is_plain(char c) { return c >= 0x20 && c <= 0x7e && c != '%'; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::size_t percent_encoded_size(std::string_view text) {
  std::size_t size = 0;
  for (char c : text) size += is_plain(c) ? 1 : 3;
  return size;
}

std::size_t percent_encode(std::string_view text, char* to) {
  constexpr char kHex[] = "0123456789ABCDEF";
  char* out = to;
  for (char c : text) {
    if (is_plain(c)) {
      *out++ = c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    *out++ = '%';
    *out++ = kHex[byte >> 4];
    *out++ = kHex[byte & 0xf];
  }
  return static_cast<std::size_t>(out - to);
}

std::size_t percent_decode(std::string_view text, char* to) {
  char* out = to;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && text.size() - i > 2) {
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        *out++ = static_cast<char>(high << 4 | low);
        i += 2;
        continue;
      }
    }
    *out++ = text[i];
  }
  return static_cast<std::size_t>(out - to);
}

}  // namespace plugind::wire
