#include "plugins/echo-cpp/listen.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace echo {
namespace {

constexpr int kFirstPassedDescriptor = 3;

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

}  // namespace

std::expected<Listen, std::string> find_listen(const std::string& option) {
  if (environment("LISTEN_FDS") == "1" && environment("LISTEN_PID") == std::to_string(getpid())) {
    return Listen{.descriptor = kFirstPassedDescriptor, .address = ""};
  }
  std::string address{environment("PLUGIND_LISTEN")};
  if (address.empty()) address = option;
  if (address.empty()) {
    return std::unexpected(
        "no address to listen on: set PLUGIND_LISTEN or give --listen, as unix:/path or "
        "tcp:HOST:PORT");
  }
  if (address.starts_with("unix:/")) return Listen{.descriptor = {}, .address = address};
  if (address.starts_with("tcp:")) return Listen{.descriptor = {}, .address = address.substr(4)};
  return std::unexpected("cannot listen on \"" + address +
                         "\": an address is unix:/path or tcp:HOST:PORT");
}

}  // namespace echo
