#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>

#include "client-lib/pluginctl/unreachable.h"

namespace plugind::pluginctl {
namespace {

namespace fs = std::filesystem;

std::string error_text(int error) { return std::generic_category().message(error); }

std::string ownership(const struct stat& info) {
  char mode[8];
  std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(info.st_mode & 07777));
  return "it belongs to uid " + std::to_string(info.st_uid) + ", group " +
         std::to_string(info.st_gid) + ", mode " + mode;
}

std::string as_its_user(const struct stat& info) {
  return "run pluginctl as uid " + std::to_string(info.st_uid) +
         " or as root, or let others in: --socket-group of plugind";
}

std::string this_user() { return "this user (uid " + std::to_string(::geteuid()) + ")"; }

/// The first directory on the way that is not there or does not let us through.
std::optional<Obstacle> on_the_way(const fs::path& socket) {
  fs::path directory;
  for (const fs::path& part : socket.parent_path()) {
    directory /= part;
    struct stat info;
    if (::stat(directory.c_str(), &info) != 0) {
      if (errno == ENOENT) {
        return Obstacle{"there is no such socket, nor a directory " + directory.string(), ""};
      }
      return Obstacle{"the directory " + directory.string() + ": " + error_text(errno), ""};
    }
    if (!S_ISDIR(info.st_mode)) return Obstacle{directory.string() + " is not a directory", ""};
    if (::access(directory.c_str(), X_OK) != 0) {
      return Obstacle{this_user() + " may not pass through the directory " + directory.string() +
                          ": " + ownership(info),
                      as_its_user(info)};
    }
  }
  return std::nullopt;
}

/// Does not wait.
int try_to_connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd == -1) return errno;
  const int error =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

}  // namespace

bool is_socket(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

Obstacle find_obstacle(const std::string& path) {
  constexpr std::size_t kLimit = sizeof(sockaddr_un::sun_path) - 1;
  if (path.size() > kLimit) {
    return {"a socket's path has at most " + std::to_string(kLimit) + " bytes, this one has " +
                std::to_string(path.size()),
            "let plugind listen on a shorter one"};
  }
  if (auto obstacle = on_the_way(path)) return *obstacle;
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    return {errno == ENOENT ? "there is no such socket" : error_text(errno), ""};
  }
  if (!S_ISSOCK(info.st_mode)) {
    return {"that is not a socket", "say where plugind listens with --socket or PLUGIND_SOCKET"};
  }
  switch (const int error = try_to_connect(path)) {
    case ECONNREFUSED:
      return {"the socket is there, but nothing listens on it: a daemon that was killed left it",
              "start plugind, which replaces it"};
    case EACCES:
    case EPERM:
      return {this_user() + " may not open the socket: " + ownership(info), as_its_user(info)};
    case EAGAIN:
      return {"the process that listens there has a full queue and takes nobody from it",
              "see what it does; if it is plugind and hangs, restart it"};
    case 0:
      return {"something listens there, but does not greet as a gRPC server does",
              "see who it is ('ss -xlp'); if it is plugind and hangs, restart it"};
    default:
      return {"it cannot be connected to: " + error_text(error), ""};
  }
}

}  // namespace plugind::pluginctl
