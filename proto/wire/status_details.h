// The bytes of grpc-status-details-bin: google.rpc.Status with google.rpc.ErrorInfo details,
// written and read by hand because libplugind has no protobuf.  (base64.h makes the header value of
// them.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace plugind::wire {

struct ErrorInfoEntry {
  std::string_view key;
  std::string_view value;
};

/// What encode_status_details writes: a Status with one ErrorInfo.
struct StatusDetails {
  std::int32_t code = 0;
  std::string_view message;  ///< UTF-8.
  std::string_view reason;
  std::string_view domain;
  const ErrorInfoEntry* metadata = nullptr;
  std::size_t metadata_count = 0;
};

/// How many bytes encode_status_details writes.  Some gRPC stacks refuse more than 8 KiB of
/// metadata in all; the caller keeps `message` short.
std::size_t encoded_status_details_size(const StatusDetails& details);
/// Writes encoded_status_details_size(details) bytes to `to` and returns that number.
std::size_t encode_status_details(const StatusDetails& details, std::uint8_t* to);

/// What decode_status_details found; the views point into the bytes it was given.
struct DecodedStatusDetails {
  std::int32_t code = 0;
  std::string_view message;
  std::string_view reason;  ///< Empty when there is no ErrorInfo.
  std::string_view domain;
};

/// Reads a Status and the first ErrorInfo of `preferred_domain` in it, else its first ErrorInfo.
/// Unknown fields and other details are skipped.  Empty when the bytes are not a protobuf message.
std::optional<DecodedStatusDetails> decode_status_details(const std::uint8_t* data,
                                                          std::size_t size,
                                                          std::string_view preferred_domain);

}  // namespace plugind::wire
