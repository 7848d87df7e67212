#include "daemon/platform/local_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string>
#include <utility>

#include "daemon/platform/peer_identity.h"
#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unique_fd.h"
#include "daemon/platform/posix/unix_listener.h"

namespace plugind::platform {
namespace {

std::filesystem::path lock_path(const std::filesystem::path& path) {
  return path.string() + ".lock";
}

std::unexpected<Error> in_use(const std::string& path, std::int64_t pid) {
  std::string holder = pid > 0 ? " (pid " + std::to_string(pid) + ")" : "";
  return std::unexpected(make_error(
      Reason::kSocketInUse, "the socket " + path + " is held by another live process" + holder +
                                ": stop that one, or choose another path (PLUGIND_SOCKET)"));
}

/// The pid that the holder wrote into its lock file; 0 if there is none.
std::int64_t holder_of(int lock) {
  char text[24];
  const ssize_t n = ::pread(lock, text, sizeof(text), 0);
  std::int64_t pid = 0;
  if (n > 0) std::from_chars(text, text + n, pid);
  return pid;
}

/// Takes PATH.lock.  The holder removes the file when it goes, so a lock counts only if the file
/// that was locked is still the one at the path.
std::expected<UniqueFd, Error> take_lock(const std::string& path) {
  const std::string file = lock_path(path);
  for (int attempt = 0; attempt < 100; ++attempt) {
    UniqueFd lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock) {
      return system_error("cannot open the lock file " + file, errno,
                          "check that its directory exists and is ours");
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return in_use(path, holder_of(lock.get()));
      return system_error("cannot lock " + file, errno);
    }
    struct stat locked, named;
    if (::fstat(lock.get(), &locked) == 0 && ::stat(file.c_str(), &named) == 0 &&
        locked.st_dev == named.st_dev && locked.st_ino == named.st_ino) {
      const std::string pid = std::to_string(::getpid()) + "\n";
      if (::ftruncate(lock.get(), 0) != 0 ||
          ::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
        return system_error("cannot write " + file, errno);
      }
      return lock;
    }
  }
  return in_use(path, 0);
}

/// Removes a socket that nobody listens on.  Leaves everything else and says what is in the way.
std::expected<void, Error> clear_path(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return system_error("cannot look at " + path, errno);
  }
  if (!S_ISSOCK(info.st_mode)) {
    return std::unexpected(make_error(
        Reason::kSocketInUse,
        path + " exists and is not a socket: remove it, or choose another path (PLUGIND_SOCKET)"));
  }
  auto address = unix_address(path);
  if (!address) return std::unexpected(address.error());
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe) return system_error("cannot make a Unix socket", errno);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) == 0) {
    const auto peer = peer_identity(probe.get());
    return in_use(path, peer && peer->known ? peer->pid : 0);
  }
  // EAGAIN: somebody listens and the backlog is full.
  if (errno == EAGAIN) return in_use(path, 0);
  if (errno != ECONNREFUSED && errno != ENOENT) {
    return system_error("cannot tell whether somebody listens on " + path, errno,
                        "remove it if it is a leftover");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return system_error("cannot remove the stale socket " + path, errno);
  }
  return {};
}

}  // namespace

std::expected<void, Error> check_socket_path(const std::string& path) {
  if (auto address = unix_address(path); !address) return std::unexpected(address.error());
  return {};
}

std::expected<LocalSocket, Error> LocalSocket::listen(const std::filesystem::path& path,
                                                      LocalSocketOptions options) {
  const std::string name = path.string();
  if (auto address = unix_address(name); !address) return std::unexpected(address.error());
  LocalSocket result;
  if (options.lock) {
    auto lock = take_lock(name);
    if (!lock) return std::unexpected(lock.error());
    result.lock_ = lock->release();
    result.path_ = path;
  }
  if (auto cleared = clear_path(name); !cleared) return std::unexpected(cleared.error());
  auto fd = bind_and_listen(name, options.mode, options.backlog, options.group);
  if (!fd) return std::unexpected(fd.error());
  result.path_ = path;
  result.socket_ = fd->release();
  struct stat info;
  if (::fcntl(result.socket_, F_SETFL, O_RDWR | O_NONBLOCK) != 0 ||
      ::lstat(name.c_str(), &info) != 0) {
    const int error = errno;
    ::unlink(name.c_str());
    return system_error("cannot set up the socket " + name, error);
  }
  result.device_ = info.st_dev;
  result.inode_ = info.st_ino;
  return result;
}

LocalSocket::LocalSocket(LocalSocket&& other) noexcept { *this = std::move(other); }

LocalSocket& LocalSocket::operator=(LocalSocket&& other) noexcept {
  if (this == &other) return *this;
  close();
  path_ = std::exchange(other.path_, {});
  socket_ = std::exchange(other.socket_, -1);
  lock_ = std::exchange(other.lock_, -1);
  device_ = std::exchange(other.device_, 0);
  inode_ = std::exchange(other.inode_, 0);
  return *this;
}

LocalSocket::~LocalSocket() { close(); }

int LocalSocket::release() { return std::exchange(socket_, -1); }

void LocalSocket::close() {
  if (inode_ != 0) {
    struct stat info;
    if (::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_) {
      ::unlink(path_.c_str());
    }
    inode_ = 0;
  }
  if (socket_ != -1) ::close(std::exchange(socket_, -1));
  if (lock_ != -1) {
    // Before the lock is let go: afterwards the file may be somebody else's.
    ::unlink(lock_path(path_).c_str());
    ::close(std::exchange(lock_, -1));
  }
}

}  // namespace plugind::platform
