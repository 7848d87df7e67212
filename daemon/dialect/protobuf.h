// The little of protobuf's encoding that greetings need, so that dialects need no generated code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace plugind::dialect {

/// One field of a message.  Exactly one of `number_value` and `bytes` means something, by
/// `is_bytes`.
struct ProtobufField {
  std::uint32_t number = 0;
  bool is_bytes = false;
  std::uint64_t number_value = 0;
  std::string_view bytes;  ///< Borrowed from the message.
};

/// Reads the fields of a serialised message in their order.  Fixed-width fields are skipped.
class ProtobufReader {
 public:
  explicit ProtobufReader(std::string_view message) : rest_(message) {}

  /// The next field; nullopt at the end and when the message is malformed.
  std::optional<ProtobufField> next();
  /// The message turned out to be malformed.
  bool failed() const { return failed_; }

 private:
  std::optional<std::uint64_t> varint();
  std::optional<ProtobufField> fail();

  std::string_view rest_;
  bool failed_ = false;
};

/// A message that has one field, a string.
std::string encode_string_field(std::uint32_t number, std::string_view text);

}  // namespace plugind::dialect
