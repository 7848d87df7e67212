#include "proto/wire/status_details.h"

#include <cstring>

namespace plugind::wire {
namespace {

constexpr std::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr std::string_view kErrorInfoName = "/google.rpc.ErrorInfo";

// Field numbers: google/rpc/status.proto, google/protobuf/any.proto,
// google/rpc/error_details.proto.
enum StatusField { kStatusCode = 1, kStatusMessage = 2, kStatusDetails = 3 };
enum AnyField { kAnyTypeUrl = 1, kAnyValue = 2 };
enum ErrorInfoField { kInfoReason = 1, kInfoDomain = 2, kInfoMetadata = 3 };
enum MapField { kMapKey = 1, kMapValue = 2 };

enum WireType { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

std::size_t varint_size(std::uint64_t value) {
  std::size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

// Every field number here is below 16, so its tag is one byte.
std::size_t bytes_field_size(std::size_t size) { return 1 + varint_size(size) + size; }
std::size_t text_field_size(std::string_view text) {
  return text.empty() ? 0 : bytes_field_size(text.size());
}

std::size_t entry_size(const ErrorInfoEntry& entry) {
  return text_field_size(entry.key) + text_field_size(entry.value);
}

std::size_t info_size(const StatusDetails& details) {
  std::size_t size = text_field_size(details.reason) + text_field_size(details.domain);
  for (std::size_t i = 0; i < details.metadata_count; ++i) {
    size += bytes_field_size(entry_size(details.metadata[i]));
  }
  return size;
}

std::size_t any_size(const StatusDetails& details) {
  return bytes_field_size(kErrorInfoUrl.size()) + bytes_field_size(info_size(details));
}

std::uint64_t code_as_varint(std::int32_t code) {
  return static_cast<std::uint64_t>(std::int64_t{code});  // Negative int32: ten bytes, sign kept.
}

class Writer {
 public:
  explicit Writer(std::uint8_t* to) : next_(to) {}
  std::uint8_t* next() const { return next_; }

  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) *next_++ = static_cast<std::uint8_t>(value | 0x80);
    *next_++ = static_cast<std::uint8_t>(value);
  }
  void begin_bytes(int field, std::size_t size) {
    varint(static_cast<std::uint64_t>(field) << 3 | kLengthDelimited);
    varint(size);
  }
  void text(int field, std::string_view text) {
    if (text.empty()) return;
    begin_bytes(field, text.size());
    std::memcpy(next_, text.data(), text.size());
    next_ += text.size();
  }

 private:
  std::uint8_t* next_;
};

struct Field {
  std::uint32_t number = 0;
  std::uint64_t varint = 0;  // When it is one; 0 otherwise.
  std::string_view bytes;    // When it is length-delimited; null data otherwise.
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool at_end() const { return bytes_.empty(); }

  // False when the bytes are not a field.
  bool next(Field& field) {
    std::uint64_t tag = 0;
    if (!varint(tag) || tag >> 3 == 0 || tag >> 32 != 0) return false;
    field = Field{};
    field.number = static_cast<std::uint32_t>(tag >> 3);
    switch (tag & 7) {
      case kVarint:
        return varint(field.varint);
      case kFixed64:
        return skip(8);
      case kFixed32:
        return skip(4);
      case kLengthDelimited: {
        std::uint64_t size = 0;
        if (!varint(size) || size > bytes_.size()) return false;
        field.bytes = {bytes_.data(), static_cast<std::size_t>(size)};
        return skip(static_cast<std::size_t>(size));
      }
      default:  // Groups are not used by these messages.
        return false;
    }
  }

 private:
  bool skip(std::size_t size) {
    if (size > bytes_.size()) return false;
    bytes_.remove_prefix(size);
    return true;
  }
  bool varint(std::uint64_t& value) {
    value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      if (bytes_.empty()) return false;
      const auto byte = static_cast<std::uint8_t>(bytes_.front());
      bytes_.remove_prefix(1);
      if (shift < 64) value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }

  std::string_view bytes_;
};

struct Info {
  std::string_view reason, domain;
};

bool read_error_info(std::string_view bytes, Info& info) {
  Reader reader(bytes);
  Field field;
  while (!reader.at_end()) {
    if (!reader.next(field)) return false;
    if (field.bytes.data() == nullptr) continue;
    if (field.number == kInfoReason) info.reason = field.bytes;
    if (field.number == kInfoDomain) info.domain = field.bytes;
  }
  return true;
}

// False when the bytes are broken; `is_info` says whether they hold an ErrorInfo.
bool read_any(std::string_view bytes, bool& is_info, Info& info) {
  Reader reader(bytes);
  Field field;
  std::string_view url, value;
  while (!reader.at_end()) {
    if (!reader.next(field)) return false;
    if (field.bytes.data() == nullptr) continue;
    if (field.number == kAnyTypeUrl) url = field.bytes;
    if (field.number == kAnyValue) value = field.bytes;
  }
  is_info = url.ends_with(kErrorInfoName);
  return !is_info || read_error_info(value, info);
}

}  // namespace

std::size_t encoded_status_details_size(const StatusDetails& details) {
  return (details.code == 0 ? 0 : 1 + varint_size(code_as_varint(details.code))) +
         text_field_size(details.message) + bytes_field_size(any_size(details));
}

std::size_t encode_status_details(const StatusDetails& details, std::uint8_t* to) {
  Writer writer(to);
  if (details.code != 0) {
    writer.varint(kStatusCode << 3 | kVarint);
    writer.varint(code_as_varint(details.code));
  }
  writer.text(kStatusMessage, details.message);
  writer.begin_bytes(kStatusDetails, any_size(details));
  writer.text(kAnyTypeUrl, kErrorInfoUrl);
  writer.begin_bytes(kAnyValue, info_size(details));
  writer.text(kInfoReason, details.reason);
  writer.text(kInfoDomain, details.domain);
  for (std::size_t i = 0; i < details.metadata_count; ++i) {
    writer.begin_bytes(kInfoMetadata, entry_size(details.metadata[i]));
    writer.text(kMapKey, details.metadata[i].key);
    writer.text(kMapValue, details.metadata[i].value);
  }
  return static_cast<std::size_t>(writer.next() - to);
}

std::optional<DecodedStatusDetails> decode_status_details(const std::uint8_t* data,
                                                          std::size_t size,
                                                          std::string_view preferred_domain) {
  Reader reader({reinterpret_cast<const char*>(data), size});
  Field field;
  DecodedStatusDetails result;
  bool has_info = false;
  bool has_preferred = false;
  while (!reader.at_end()) {
    if (!reader.next(field)) return std::nullopt;
    if (field.number == kStatusCode) result.code = static_cast<std::int32_t>(field.varint);
    if (field.bytes.data() == nullptr) continue;
    if (field.number == kStatusMessage) result.message = field.bytes;
    if (field.number != kStatusDetails || has_preferred) continue;
    bool is_info = false;
    Info info;
    if (!read_any(field.bytes, is_info, info)) return std::nullopt;
    if (!is_info) continue;
    has_preferred = info.domain == preferred_domain;
    if (has_info && !has_preferred) continue;
    has_info = true;
    result.reason = info.reason;
    result.domain = info.domain;
  }
  return result;
}

}  // namespace plugind::wire
