#include "daemon/plugin/printable.h"

#include <cstdint>

namespace plugind::plugin {
namespace {

// The length of the valid UTF-8 sequence that `text` starts with; 0 if there is none.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  std::size_t length = 0;
  std::uint32_t code = 0;
  std::uint32_t smallest = 0;
  if (first < 0x80) return 1;
  if ((first & 0xe0) == 0xc0) {
    length = 2, code = first & 0x1f, smallest = 0x80;
  } else if ((first & 0xf0) == 0xe0) {
    length = 3, code = first & 0x0f, smallest = 0x800;
  } else if ((first & 0xf8) == 0xf0) {
    length = 4, code = first & 0x07, smallest = 0x10000;
  } else {
    return 0;
  }
  if (text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  const bool c1_control = code < 0xa0;
  return code < smallest || code > 0x10ffff || surrogate || c1_control ? 0 : length;
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes, bool keep_newlines) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string result;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto c = static_cast<std::uint8_t>(text[at]);
    const bool control = (c < 0x20 && c != '\t' && !(keep_newlines && c == '\n')) || c == 0x7f;
    const std::size_t length = control ? 0 : sequence_length(text.substr(at));
    if (at + (length == 0 ? 1 : length) > max_bytes) return result + "…";
    if (length == 0) {
      result += "\\x";
      result += kHex[c >> 4];
      result += kHex[c & 15];
      at += 1;
    } else {
      result += text.substr(at, length);
      at += length;
    }
  }
  return result;
}

}  // namespace plugind::plugin
