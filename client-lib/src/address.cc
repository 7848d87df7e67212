#include "client-lib/src/address.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "client-lib/src/error.h"

namespace plugind::client {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::string_view kTcpPrefix = "tcp:";

pd_error* set_path(std::string_view path, Address& address) {
  if (path.size() >= sizeof(address.path)) {
    return make_error(
        kInvalidArgument, "",
        "the socket path \"%.*s\" is %zu bytes long and the operating system takes at "
        "most %zu: use a shorter one",
        static_cast<int>(path.size()), path.data(), path.size(), sizeof(address.path) - 1);
  }
  address.kind = Address::Kind::kUnix;
  std::memcpy(address.path, path.data(), path.size());
  address.path[path.size()] = '\0';
  std::snprintf(address.text, sizeof(address.text), "unix:%s", address.path);
  return nullptr;
}

bool parse_number(std::string_view text, unsigned max, unsigned& value) {
  if (text.empty() || text.size() > 5) return false;
  value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value <= max;
}

bool parse_ipv4(std::string_view text, std::uint8_t* ip) {
  for (int i = 0; i < 4; ++i) {
    const std::size_t dot = i < 3 ? text.find('.') : text.size();
    unsigned value = 0;
    if (dot == std::string_view::npos || !parse_number({text.data(), dot}, 255, value))
      return false;
    ip[i] = static_cast<std::uint8_t>(value);
    text.remove_prefix(i < 3 ? dot + 1 : dot);
  }
  return true;
}

// Names are not looked up: a resolver may start threads and read files, and only loopback is
// served.
bool parse_loopback(std::string_view host, Address& address) {
  if (host == "::1" || host == "[::1]") {
    address.kind = Address::Kind::kIpv6;
    std::memset(address.ip, 0, sizeof(address.ip));
    address.ip[15] = 1;
    return true;
  }
  address.kind = Address::Kind::kIpv4;
  return parse_ipv4(host == "localhost" ? "127.0.0.1" : host, address.ip) && address.ip[0] == 127;
}

pd_error* set_tcp(std::string_view host_and_port, Address& address) {
  const std::size_t colon = host_and_port.rfind(':');
  unsigned port = 0;
  if (colon == std::string_view::npos || host_and_port.size() > 64 ||
      !parse_number({host_and_port.data() + colon + 1, host_and_port.size() - colon - 1}, 65535,
                    port) ||
      port == 0 || !parse_loopback({host_and_port.data(), colon}, address)) {
    return make_error(kInvalidArgument, "",
                      "\"tcp:%.*s\" is not an address of plugind: write tcp:HOST:PORT with a "
                      "loopback host, for example tcp:127.0.0.1:7433 or tcp:[::1]:7433",
                      static_cast<int>(host_and_port.size()), host_and_port.data());
  }
  address.port = static_cast<std::uint16_t>(port);
  std::snprintf(address.text, sizeof(address.text), "tcp:%.*s",
                static_cast<int>(host_and_port.size()), host_and_port.data());
  return nullptr;
}

}  // namespace

pd_error* parse_address(const char* text, Address& address) {
  if (text == nullptr) text = std::getenv("PLUGIND_SOCKET");
  if (text == nullptr || *text == '\0') {
    const char* runtime_dir = std::getenv("XDG_RUNTIME_DIR");
    if (runtime_dir == nullptr || *runtime_dir != '/')
      return set_path("/run/plugind/plugind.sock", address);
    char path[512];
    const int size = std::snprintf(path, sizeof(path), "%s/plugind/plugind.sock", runtime_dir);
    const bool fits = size > 0 && static_cast<std::size_t>(size) < sizeof(path);
    return set_path({path, fits ? static_cast<std::size_t>(size) : sizeof(path) - 1}, address);
  }
  std::string_view rest(text);
  if (rest.starts_with(kTcpPrefix)) {
    rest.remove_prefix(kTcpPrefix.size());
    return set_tcp(rest, address);
  }
  if (rest.starts_with(kUnixPrefix)) rest.remove_prefix(kUnixPrefix.size());
  if (!rest.starts_with('/')) {
    return make_error(kInvalidArgument, "",
                      "\"%.200s\" is not an address of plugind: write unix:/path, tcp:HOST:PORT or "
                      "an absolute path",
                      text);
  }
  return set_path(rest, address);
}

}  // namespace plugind::client
