#include "daemon/platform/posix/unix_listener.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "daemon/platform/posix/errno_error.h"

namespace plugind::platform {

std::expected<sockaddr_un, Error> unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  constexpr std::size_t kLimit = sizeof(address.sun_path) - 1;
  if (path.size() > kLimit) {
    return std::unexpected(
        make_error(Reason::kSocketPathTooLong,
                   "the socket path " + path + " has " + std::to_string(path.size()) +
                       " bytes; the operating system allows " + std::to_string(kLimit),
                   "choose a shorter runtime directory (PLUGIND_SOCKET) or plugin name"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

std::expected<UniqueFd, Error> bind_and_listen(const std::string& path, std::uint32_t mode,
                                               int backlog, std::optional<std::uint32_t> group) {
  auto address = unix_address(path);
  if (!address) return std::unexpected(address.error());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return system_error("cannot make a Unix socket", errno);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    return system_error("cannot bind the socket " + path, errno,
                        errno == EADDRINUSE ? "something is there already: remove it"
                                            : "check that its directory exists and is writable");
  }
  if (group && ::lchown(path.c_str(), static_cast<uid_t>(-1), *group) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    return system_error(
        "cannot give the socket " + path + " to the group " + std::to_string(*group), error,
        "plugind's own user must be a member of it");
  }
  if (::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), backlog) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    return system_error("cannot listen on the socket " + path, error);
  }
  return fd;
}

}  // namespace plugind::platform
