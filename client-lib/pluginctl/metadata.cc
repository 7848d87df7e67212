#include "client-lib/pluginctl/metadata.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "proto/wire/base64.h"

namespace plugind::pluginctl {
namespace {

constexpr std::string_view kNameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-_.";

bool is_printable_ascii(char c) { return c >= 0x20 && c <= 0x7E; }

std::string trimmed(std::string_view text) {
  const std::size_t start = text.find_first_not_of(" \t");
  if (start == std::string_view::npos) return "";
  return std::string(text.substr(start, text.find_last_not_of(" \t") - start + 1));
}

Result<std::pair<std::string, std::string>> parse(const std::string& header) {
  const std::size_t colon = header.find(':');
  if (colon == std::string::npos) {
    return usage("-H '" + header + "': write name:value");
  }
  std::string name = trimmed(std::string_view(header).substr(0, colon));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  std::string value = trimmed(std::string_view(header).substr(colon + 1));
  if (name.empty() || name.find_first_not_of(kNameCharacters) != std::string::npos ||
      name.starts_with("grpc-")) {
    return usage("-H '" + header + "': '" + name +
                 "' is not a name for metadata; it takes letters, digits, '-', '_' and '.', and "
                 "does not begin with grpc-");
  }
  if (name.ends_with("-bin")) {
    std::string bytes(wire::base64_decoded_bound(value.size()), '\0');
    const auto size = wire::base64_decode(value, reinterpret_cast<std::uint8_t*>(bytes.data()));
    if (!size) return usage("-H '" + header + "': the value of a -bin name is written in base64");
    bytes.resize(*size);
    return std::pair(std::move(name), std::move(bytes));
  }
  if (!std::ranges::all_of(value, is_printable_ascii)) {
    return usage("-H '" + header +
                 "': a value is printable ASCII; others go under a name that ends in -bin, in "
                 "base64");
  }
  return std::pair(std::move(name), std::move(value));
}

}  // namespace

Result<Metadata> parse_metadata(const std::vector<std::string>& headers) {
  Metadata metadata;
  for (const std::string& header : headers) {
    auto pair = parse(header);
    if (!pair) return std::unexpected(pair.error());
    metadata.push_back(std::move(*pair));
  }
  return metadata;
}

void add_metadata(const Metadata& metadata, grpc::ClientContext& context) {
  for (const auto& [name, value] : metadata) context.AddMetadata(name, value);
}

}  // namespace plugind::pluginctl
