#include "daemon/forward/status_reply.h"

#include <algorithm>
#include <string>
#include <vector>

#include "proto/wire/base64.h"
#include "proto/wire/percent.h"
#include "proto/wire/status_details.h"

namespace plugind::forward {

namespace {

// Several gRPC stacks refuse more than 8 KiB of metadata, and the message stands in it twice: as it
// is, in base64, and percent-encoded, which makes three bytes of each that is not plain ASCII.
constexpr std::size_t kMaxMessage = 2'048;
constexpr std::size_t kMaxEncoded = 4'096;

std::string_view shortened(std::string_view text) {
  std::size_t size = std::min(text.size(), kMaxMessage);
  while (wire::percent_encoded_size(text.substr(0, size)) > kMaxEncoded) size -= 1 + size / 16;
  if (size == text.size()) return text;
  // Not in the middle of a UTF-8 sequence.
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace

void add_response_start(wire::HeaderList& headers) {
  headers.add(":status", "200");
  headers.add("content-type", "application/grpc");
}

void add_status(wire::HeaderList& headers, const Error& error) {
  const auto code = static_cast<std::int32_t>(reason_status(error.reason));
  const std::string_view message = shortened(error.message);

  std::string encoded(wire::percent_encoded_size(message), '\0');
  wire::percent_encode(message, encoded.data());

  std::vector<wire::ErrorInfoEntry> metadata;
  metadata.reserve(error.details.size());
  for (const auto& [key, value] : error.details) metadata.push_back({key, value});
  const wire::StatusDetails details{.code = code,
                                    .message = message,
                                    .reason = reason_name(error.reason),
                                    .domain = "plugind",
                                    .metadata = metadata.data(),
                                    .metadata_count = metadata.size()};
  std::vector<std::uint8_t> bytes(wire::encoded_status_details_size(details));
  wire::encode_status_details(details, bytes.data());
  std::string text(wire::base64_encoded_size(bytes.size()), '\0');
  wire::base64_encode(bytes.data(), bytes.size(), text.data());

  headers.add("grpc-status", std::to_string(code));
  headers.add("grpc-message", encoded);
  headers.add("grpc-status-details-bin", text);
}

void add_http_status(wire::HeaderList& headers, std::string_view http_status) {
  headers.add(":status", http_status);
  headers.add("content-type", "text/plain; charset=utf-8");
}

}  // namespace plugind::forward
