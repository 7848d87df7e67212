#include "client-lib/src/request_headers.h"

#include <string_view>

#include "client-lib/src/call.h"
#include "proto/wire/grpc_timeout.h"

namespace plugind::client {
namespace {

constexpr std::size_t kMaxMethod = 1024;
constexpr std::size_t kMaxPlugin = 256;

bool is_printable(std::string_view text) {
  for (char c : text) {
    if (c <= 0x20 || c > 0x7e) return false;
  }
  return true;
}

bool is_method(std::string_view method) {
  if (!method.starts_with('/') || method.size() > kMaxMethod || !is_printable(method)) return false;
  const std::size_t slash = method.find('/', 1);
  return slash != std::string_view::npos && slash > 1 && slash + 1 < method.size() &&
         method.find('/', slash + 1) == std::string_view::npos;
}

}  // namespace

pd_error* fill_request_headers(const Client::Request& request, wire::HeaderList& headers) {
  const std::string_view method = request.method != nullptr ? request.method : "";
  if (!is_method(method)) {
    return make_error(kInvalidArgument, "",
                      "\"%.200s\" is not a method: write /package.Service/Method",
                      request.method != nullptr ? request.method : "");
  }
  const std::string_view plugin = request.plugin != nullptr ? request.plugin : "";
  if (request.plugin != nullptr &&
      (plugin.empty() || plugin.size() > kMaxPlugin || !is_printable(plugin))) {
    return make_error(kInvalidArgument, "",
                      "\"%.200s\" is not a plugin's name: write NAME, NAME@VERSION, or pass NULL",
                      request.plugin);
  }
  if (request.message == nullptr && request.size > 0) {
    return make_error(kInvalidArgument, "", "the request is NULL but its size is %zu",
                      request.size);
  }
  if (request.size > Call::kMaxMessage) {
    return make_error(kResourceExhausted, "",
                      "the request has %zu bytes; this library sends at most %zu", request.size,
                      Call::kMaxMessage);
  }

  bool added = headers.add(":method", "POST") && headers.add(":scheme", "http") &&
               headers.add(":path", method) && headers.add(":authority", "localhost") &&
               headers.add("te", "trailers") && headers.add("content-type", "application/grpc") &&
               headers.add("user-agent", "libplugind/" PD_VERSION);
  if (!plugin.empty()) added = added && headers.add("plugind-plugin", plugin);
  if (request.options != nullptr) {
    const pd_options& options = *request.options;
    if (options.timeout_ms > 0) {
      const Time timeout = after(0, options.timeout_ms);
      added = added && headers.add("grpc-timeout", wire::format_grpc_timeout(timeout).view());
    }
    for (std::size_t i = 0; i < options.metadata.count() && added; ++i) {
      const wire::HeaderField field = options.metadata[i];
      added = headers.add(field.name, field.value, field.never_index);
    }
  }
  return added ? nullptr : out_of_memory();
}

}  // namespace plugind::client
