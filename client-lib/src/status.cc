#include "client-lib/src/status.h"

#include <cstdlib>
#include <string_view>

#include "proto/wire/base64.h"
#include "proto/wire/session.h"
#include "proto/wire/status_details.h"

namespace plugind::client {
namespace {

constexpr int kMaxCode = 16;

// -1 when there is none; kUnknown when it is not a code of gRPC.
int status_code(const wire::HeaderList& headers) {
  const std::string_view text = headers.get("grpc-status");
  if (text.data() == nullptr) return -1;
  int code = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return kUnknown;
    code = code * 10 + (c - '0');
    if (code > kMaxCode) return kUnknown;
  }
  return text.empty() ? kUnknown : code;
}

int code_of_http_status(std::string_view status) {
  if (status == "400") return kInternal;
  if (status == "401") return kUnauthenticated;
  if (status == "403") return kPermissionDenied;
  if (status == "404") return kUnimplemented;
  if (status == "429" || status == "502" || status == "503" || status == "504") return kUnavailable;
  return kUnknown;
}

}  // namespace

pd_error* check_response(const wire::HeaderList& headers) {
  if (headers.has("grpc-status")) return nullptr;
  const std::string_view status = headers.get(":status");
  if (status != "200") {
    return make_error(code_of_http_status(status), "",
                      "the answer is not gRPC's but HTTP status %.*s",
                      static_cast<int>(status.size() < 32 ? status.size() : 32), status.data());
  }
  const std::string_view type = headers.get("content-type");
  if (!type.starts_with("application/grpc")) {
    return make_error(kUnknown, "", "the answer is not gRPC's: its content-type is \"%.*s\"",
                      static_cast<int>(type.size() < 100 ? type.size() : 100),
                      type.data() == nullptr ? "" : type.data());
  }
  return nullptr;
}

pd_error* read_status(const wire::HeaderList& headers) {
  const int code = status_code(headers);
  if (code == kOk) return nullptr;
  if (code < 0) return make_error(kUnknown, "", "the call ended without a grpc-status");

  std::string_view details = headers.get("grpc-status-details-bin");
  std::uint8_t* bytes = nullptr;
  std::string_view reason;
  if (!details.empty()) {
    bytes = static_cast<std::uint8_t*>(std::malloc(wire::base64_decoded_bound(details.size())));
    if (bytes == nullptr) return out_of_memory();
    const auto size = wire::base64_decode(details, bytes);
    // Broken details cost the reason, never the status.
    const auto decoded = size ? wire::decode_status_details(bytes, *size, "plugind") : std::nullopt;
    if (decoded) reason = decoded->reason;
  }
  pd_error* error = make_status_error(code, headers.get("grpc-message"), reason);
  std::free(bytes);
  return error;
}

pd_error* make_reset_error(std::uint32_t http2_error) {
  switch (http2_error) {
    case wire::kRefusedStream:
      return make_error(kUnavailable, "", "plugind refused the call; try again");
    case wire::kCancel:
      return make_error(kCancelled, "", "plugind or the plugin cancelled the call");
    case wire::kEnhanceYourCalm:
      return make_error(kResourceExhausted, "", "plugind says that this host sends too much");
    case 0xc:  // INADEQUATE_SECURITY
      return make_error(kPermissionDenied, "", "plugind says that the connection is not secure");
    default:
      return make_error(kInternal, "", "plugind or the plugin ended the call with HTTP/2 error %u",
                        static_cast<unsigned>(http2_error));
  }
}

}  // namespace plugind::client
