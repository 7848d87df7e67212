#include "client-lib/pluginctl/address.h"

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace plugind::pluginctl {
namespace {

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string default_address() {
  std::string socket = from_environment("PLUGIND_SOCKET");
  if (!socket.empty()) return socket;
  const std::string runtime_dir = from_environment("XDG_RUNTIME_DIR");
  return (runtime_dir.starts_with('/') ? runtime_dir : "/run") + "/plugind/plugind.sock";
}

bool is_ipv4_loopback(std::string_view host) {
  return host.starts_with("127.") &&
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

/// gRPC's spelling; names are not looked up, because only loopback is served.
std::string tcp_target(std::string_view host, std::string_view port) {
  std::uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number == 0) return "";
  if (host == "localhost") host = "127.0.0.1";
  if (host == "::1" || host == "[::1]") return "ipv6:[::1]:" + std::string(port);
  return is_ipv4_loopback(host) ? "ipv4:" + std::string(host) + ":" + std::string(port) : "";
}

}  // namespace

std::expected<Address, std::string> parse_address(std::string text) {
  if (text.empty()) text = default_address();
  std::string_view rest = text;
  if (rest.starts_with("tcp:")) {
    rest.remove_prefix(4);
    const std::size_t colon = rest.rfind(':');
    if (colon != std::string_view::npos) {
      const std::string target = tcp_target(rest.substr(0, colon), rest.substr(colon + 1));
      if (!target.empty()) return Address{text, target, ""};
    }
    return std::unexpected("'" + text +
                           "' is not an address of plugind: write tcp:HOST:PORT with a loopback "
                           "host, for example tcp:127.0.0.1:7433");
  }
  if (rest.starts_with("unix:")) rest.remove_prefix(5);
  if (!rest.starts_with('/')) {
    return std::unexpected("'" + text +
                           "' is not an address of plugind: write unix:/path, tcp:HOST:PORT or an "
                           "absolute path");
  }
  const std::string path(rest);
  return Address{"unix:" + path, "unix:" + path, path};
}

}  // namespace plugind::pluginctl
