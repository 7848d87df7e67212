#include "client-lib/src/options.h"

#include <cstdlib>
#include <string_view>

#include "client-lib/src/error.h"
#include "client-lib/src/memory.h"
#include "proto/wire/base64.h"

namespace plugind::client {
namespace {

// Leaves the daemon's bound for a header block (64 KiB) room for the headers of gRPC itself.
constexpr std::size_t kMaxMetadata = 48u << 10;
constexpr std::size_t kPairOverhead = 32;  // RFC 9113 section 6.5.2.

bool is_name(std::string_view name) {
  if (name.empty()) return false;
  for (char c : name) {
    const bool allowed =
        (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (!allowed) return false;
  }
  return true;
}

// What gRPC, HTTP/2 or plugind itself gives a meaning to.
bool is_reserved(std::string_view name) {
  if (name.starts_with("grpc-") || name.starts_with("plugind-")) return true;
  for (std::string_view reserved :
       {"te", "host", "content-type", "content-length", "user-agent", "connection", "keep-alive",
        "proxy-connection", "transfer-encoding", "upgrade"}) {
    if (name == reserved) return true;
  }
  return false;
}

bool is_printable(std::string_view text) {
  for (char c : text) {
    if (c < 0x20 || c > 0x7e) return false;
  }
  return true;
}

int add_metadata(pd_options& options, std::string_view name, std::string_view value) {
  const bool is_binary = name.ends_with("-bin");
  if (!is_name(name) || is_reserved(name) || (!is_binary && !is_printable(value))) {
    return kInvalidArgument;
  }
  if (value.size() > kMaxMetadata) return kResourceExhausted;
  const std::size_t size = name.size() + kPairOverhead +
                           (is_binary ? wire::base64_encoded_size(value.size()) : value.size());
  if (options.metadata_size + size > kMaxMetadata) return kResourceExhausted;

  bool added = false;
  if (is_binary) {
    const std::size_t text_size = wire::base64_encoded_size(value.size());
    auto* text = static_cast<char*>(std::malloc(text_size + 1));
    if (text == nullptr) return kResourceExhausted;
    wire::base64_encode(value.data(), value.size(), text);
    added = options.metadata.add(name, {text, text_size});
    std::free(text);
  } else {
    added = options.metadata.add(name, value);
  }
  if (!added) return kResourceExhausted;
  options.metadata_size += size;
  return kOk;
}

}  // namespace
}  // namespace plugind::client

pd_options* pd_options_new(void) { return plugind::client::create<pd_options>(); }

void pd_options_free(pd_options* options) { plugind::client::destroy(options); }

void pd_options_set_timeout_ms(pd_options* options, int64_t timeout_ms) {
  options->timeout_ms = timeout_ms;
}

int pd_options_add_metadata(pd_options* options, const char* name, const void* value,
                            size_t value_size) {
  using namespace plugind::client;
  if (name == nullptr || (value == nullptr && value_size > 0)) return kInvalidArgument;
  const std::string_view text =
      value_size > 0 ? std::string_view(static_cast<const char*>(value), value_size) : "";
  return add_metadata(*options, name, text);
}
