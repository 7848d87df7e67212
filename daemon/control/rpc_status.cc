#include "daemon/control/rpc_status.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "daemon/control/utf8.h"
#include "proto/wire/status_details.h"

namespace plugind::control {
namespace {

// gRPC sends the message percent-encoded, up to three bytes for one, and the details, in which it
// stands again, in base64: together below 8 KiB.
constexpr std::size_t kMaxMessage = 1280;
constexpr std::size_t kMaxDetail = 128;
constexpr std::size_t kMaxDetails = 8;

}  // namespace

grpc::Status to_rpc_status(const Error& error, const std::string& plugin) {
  std::vector<std::pair<std::string, std::string>> facts;
  bool named = plugin.empty();
  for (const auto& [key, value] : error.details) {
    if (facts.size() == kMaxDetails) break;
    facts.emplace_back(clip_utf8(to_utf8(key), kMaxDetail), clip_utf8(to_utf8(value), kMaxDetail));
    named |= key == "plugin";
  }
  if (!named) facts.emplace_back("plugin", clip_utf8(to_utf8(plugin), kMaxDetail));
  std::vector<wire::ErrorInfoEntry> metadata;
  for (const auto& [key, value] : facts) metadata.push_back({key, value});

  const std::string message = clip_utf8(to_utf8(error.message), kMaxMessage);
  wire::StatusDetails details;
  details.code = static_cast<std::int32_t>(reason_status(error.reason));
  details.message = message;
  details.reason = reason_name(error.reason);
  details.domain = "plugind";
  details.metadata = metadata.data();
  details.metadata_count = metadata.size();

  std::string bytes(wire::encoded_status_details_size(details), '\0');
  wire::encode_status_details(details, reinterpret_cast<std::uint8_t*>(bytes.data()));
  return {static_cast<grpc::StatusCode>(details.code), message, bytes};
}

}  // namespace plugind::control
