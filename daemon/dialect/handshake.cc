#include "daemon/dialect/handshake.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "daemon/plugin/printable.h"

namespace plugind::dialect {
namespace {

constexpr std::size_t kNoiseLinesShown = 3;
constexpr std::size_t kNoiseBytesShown = 120;
// go-plugin's own bound between a certificate and "extra data" that old implementations sent.
constexpr std::size_t kShortestCertificate = 50;

std::string quoted(std::string_view text) {
  return "\"" + plugin::printable(text, kNoiseBytesShown) + "\"";
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == text.npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t bar = line.find('|');
    fields.push_back(line.substr(0, bar));
    if (bar == line.npos) return fields;
    line.remove_prefix(bar + 1);
  }
}

std::optional<std::uint32_t> number_of(std::string_view text) {
  std::uint32_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, problem] = std::from_chars(text.data(), end, number);
  if (text.empty() || problem != std::errc{} || stop != end) return std::nullopt;
  return number;
}

std::unexpected<Error> invalid(std::string_view line, const std::string& why) {
  return std::unexpected(
      make_error(Reason::kHandshakeInvalid, "its handshake " + quoted(line) + " " + why));
}

std::unexpected<Error> unsupported(const std::string& what) {
  return std::unexpected(make_error(Reason::kProtocolUnsupported, what));
}

std::expected<plugin::Endpoint, Error> tcp_endpoint(std::string_view line,
                                                    std::string_view address) {
  const std::size_t colon = address.rfind(':');
  const auto port = colon == address.npos ? std::nullopt : number_of(address.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535) {
    return invalid(line, "has the address " + quoted(address) + ", which is not HOST:PORT");
  }
  std::string host(address.substr(0, colon));
  // A server that listens everywhere is reached here.
  if (host.empty() || host == "0.0.0.0") host = "127.0.0.1";
  if (host == "[::]") host = "[::1]";
  const bool is_ipv4_loopback =
      host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
  if (!is_ipv4_loopback && host != "[::1]" && host != "localhost") {
    return unsupported("it listens on " + quoted(address) +
                       ", which is not an address of this machine; a plugin listens on a Unix "
                       "socket or on a loopback address");
  }
  return plugin::Endpoint{"tcp:" + host + ":" + std::to_string(*port)};
}

std::expected<plugin::Endpoint, Error> endpoint_of(std::string_view line, std::string_view network,
                                                   std::string_view address,
                                                   std::string_view working_directory) {
  if (network == "tcp") return tcp_endpoint(line, address);
  if (network != "unix") {
    return invalid(line, "has the network " + quoted(network) + "; it is unix or tcp");
  }
  if (address.empty() || address.find('\0') != address.npos) {
    return invalid(line, "has no address");
  }
  return plugin::Endpoint{"unix:" + (std::filesystem::path(working_directory) / address).string()};
}

std::string join(const std::vector<std::uint32_t>& versions) {
  std::string text;
  for (const std::uint32_t version : versions) {
    text += (text.empty() ? "" : ", ") + std::to_string(version);
  }
  return text;
}

}  // namespace

bool looks_like_handshake(std::string_view line) {
  const auto fields = fields_of(trimmed(line));
  return fields.size() >= 4 && number_of(fields[0]).has_value();
}

std::expected<Handshake, Error> parse_handshake(std::string_view line,
                                                const std::vector<std::uint32_t>& versions,
                                                std::string_view working_directory) {
  line = trimmed(line);
  const auto fields = fields_of(line);
  const auto core = number_of(fields[0]);
  if (fields.size() < 4 || !core) {
    return invalid(line, "is not of the form 1|VERSION|NETWORK|ADDRESS|grpc");
  }
  if (*core != 1) {
    return unsupported("it speaks version " + std::to_string(*core) +
                       " of go-plugin's core protocol, plugind speaks version 1; build the plugin "
                       "with a go-plugin of version 1");
  }
  const auto version = number_of(fields[1]);
  if (!version) return invalid(line, "has the version " + quoted(fields[1]) + ", not a number");
  if (std::ranges::find(versions, *version) == versions.end()) {
    return unsupported("it speaks version " + std::to_string(*version) +
                       " of its protocol, and go-plugin.protocol_versions of the manifest has " +
                       join(versions) +
                       "; add it if the hosts speak it, or install another plugin");
  }
  const std::string_view protocol = fields.size() > 4 ? fields[4] : "netrpc";
  if (protocol == "netrpc") {
    return unsupported(
        "it speaks Go's net/rpc, not gRPC (its handshake ends without \"|grpc\"); plugind needs a "
        "plugin that serves gRPC: set GRPCServer in its ServeConfig and implement GRPCPlugin");
  }
  if (protocol != "grpc") {
    return unsupported("it speaks " + quoted(protocol) +
                       ", not gRPC; plugind needs a plugin that serves gRPC: set GRPCServer in its "
                       "ServeConfig, or install a build that does");
  }
  if (fields.size() > 5 && fields[5].size() > kShortestCertificate) {
    return unsupported(
        "it wants TLS (its handshake has a certificate), although plugind did not ask for "
        "AutoMTLS; "
        "remove PLUGIN_CLIENT_CERT from its environment");
  }
  auto endpoint = endpoint_of(line, fields[2], fields[3], working_directory);
  if (!endpoint) return std::unexpected(std::move(endpoint.error()));
  return Handshake{std::move(*endpoint), *version};
}

HandshakeReader::HandshakeReader()
    : splitter_(kMaxLineLength, [this](std::string_view line) { on_line(line); }) {}

void HandshakeReader::feed(std::string_view bytes) {
  if (!line_.empty() || noise_lines_ > kMaxLines) return;
  bytes_ += bytes.size();
  splitter_.feed(bytes);
  overflowed_ = overflowed_ || (line_.empty() && bytes_ > kMaxBytes);
}

void HandshakeReader::on_line(std::string_view line) {
  if (!line_.empty() || noise_lines_ > kMaxLines) return;
  if (looks_like_handshake(line)) {
    line_ = line;
    return;
  }
  // Here rather than in feed(), so that it does not matter in which pieces the lines come.
  overflowed_ = ++noise_lines_ > kMaxLines;
  if (noise_.size() < kNoiseLinesShown) noise_.push_back(quoted(line));
}

std::string HandshakeReader::describe_noise() {
  if (line_.empty()) splitter_.finish();
  if (noise_lines_ == 0) return "";
  std::string text = "it printed " + std::to_string(noise_lines_) +
                     (noise_lines_ == 1 ? " line" : " lines") + " to stdout that " +
                     (noise_lines_ == 1 ? "is" : "are") + " no handshake: ";
  for (std::size_t i = 0; i < noise_.size(); ++i) text += (i == 0 ? "" : ", ") + noise_[i];
  if (noise_lines_ > noise_.size()) text += ", …";
  return text;
}

}  // namespace plugind::dialect
