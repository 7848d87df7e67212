#include "daemon/dialect/protobuf.h"

namespace plugind::dialect {
namespace {

constexpr std::uint64_t kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(0x80 | (value & 0x7f));
  out += static_cast<char>(value);
}

}  // namespace

std::optional<std::uint64_t> ProtobufReader::varint() {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 10 && i < rest_.size(); ++i) {
    const auto byte = static_cast<std::uint8_t>(rest_[i]);
    value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      rest_.remove_prefix(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

std::optional<ProtobufField> ProtobufReader::fail() {
  failed_ = true;
  rest_ = {};
  return std::nullopt;
}

std::optional<ProtobufField> ProtobufReader::next() {
  while (!rest_.empty()) {
    const auto tag = varint();
    if (!tag || *tag >> 3 == 0 || *tag > UINT32_MAX) return fail();
    ProtobufField field;
    field.number = static_cast<std::uint32_t>(*tag >> 3);
    const std::uint64_t wire_type = *tag & 7;
    if (wire_type == kFixed64 || wire_type == kFixed32) {
      const std::size_t size = wire_type == kFixed64 ? 8 : 4;
      if (rest_.size() < size) return fail();
      rest_.remove_prefix(size);
      continue;
    }
    const auto value = wire_type == kVarint || wire_type == kBytes ? varint() : std::nullopt;
    if (!value) return fail();
    if (wire_type == kBytes) {
      if (*value > rest_.size()) return fail();
      field.is_bytes = true;
      field.bytes = rest_.substr(0, static_cast<std::size_t>(*value));
      rest_.remove_prefix(field.bytes.size());
    } else {
      field.number_value = *value;
    }
    return field;
  }
  return std::nullopt;
}

std::string encode_string_field(std::uint32_t number, std::string_view text) {
  std::string out;
  append_varint(out, static_cast<std::uint64_t>(number) << 3 | kBytes);
  append_varint(out, text.size());
  out += text;
  return out;
}

}  // namespace plugind::dialect
