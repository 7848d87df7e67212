#include "daemon/forward/address.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <charconv>

namespace plugind::forward {

namespace asio = boost::asio;

namespace {

Error invalid(std::string_view text, const std::string& why) {
  return make_error(Reason::kConfigInvalid,
                    "the address '" + std::string(text) + "' " + why +
                        ". Use unix:/absolute/path, an absolute path, or tcp:127.0.0.1:PORT.");
}

}  // namespace

std::string Address::to_string() const {
  if (is_unix()) return "unix:" + path;
  const bool v6 = host.find(':') != std::string::npos;
  return "tcp:" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::expected<asio::generic::stream_protocol::endpoint, Error> Address::endpoint() const {
  if (is_unix()) {
    asio::local::stream_protocol::endpoint local;
    try {
      local.path(path);
    } catch (const boost::system::system_error&) {
      return std::unexpected(
          make_error(Reason::kSocketPathTooLong,
                     "the socket path " + path + " has " + std::to_string(path.size()) +
                         " bytes; the operating system allows " +
                         std::to_string(local.capacity() - 3) + ". Use a shorter directory."));
    }
    return local;
  }
  return asio::ip::tcp::endpoint(asio::ip::make_address(host), port);
}

std::expected<Address, Error> parse_address(std::string_view text) {
  Address address;
  if (text.starts_with("unix:")) {
    address.path = text.substr(5);
    // unix:///path is gRPC's way to write it.
    if (address.path.starts_with("//")) address.path.erase(0, 2);
  } else if (text.starts_with("/")) {
    address.path = text;
  }
  if (!address.path.empty()) {
    if (address.path.front() != '/') return std::unexpected(invalid(text, "is not absolute"));
    return address;
  }
  if (!text.starts_with("tcp:")) return std::unexpected(invalid(text, "has no known form"));
  std::string_view rest = text.substr(4);
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return std::unexpected(invalid(text, "has no port"));
  const std::string_view port = rest.substr(colon + 1);
  const auto [end, ec] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (ec != std::errc{} || end != port.data() + port.size()) {
    return std::unexpected(invalid(text, "has no valid port"));
  }
  address.host = rest.substr(0, colon);
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  if (address.host == "localhost") address.host = "127.0.0.1";
  boost::system::error_code parse_error;
  const auto ip = asio::ip::make_address(address.host, parse_error);
  if (parse_error || !ip.is_loopback()) {
    return std::unexpected(invalid(text, "is not a loopback address"));
  }
  return address;
}

}  // namespace plugind::forward
