#include "daemon/platform/local_socket.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <ctime>
#include <string>
#include <utility>

#include "daemon/platform/peer_identity.h"
#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unique_fd.h"
#include "daemon/platform/posix/unix_listener.h"

namespace plugind::platform {
namespace {

// What a dead daemon left is cleared away within milliseconds; a machine may be busy.
constexpr std::chrono::milliseconds kClearBound{5'000};

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

bool lives(std::int64_t pid) {
  return pid > 0 && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH);
}

/// Takes PATH.lock.  The holder removes the file when it goes, so a lock counts only if the file
/// that was locked is still the one at the path.
std::expected<UniqueFd, Error> take_lock(const std::string& path) {
  using Clock = std::chrono::steady_clock;
  const std::string file = lock_path(path);
  const auto deadline = Clock::now() + kClearBound;
  while (true) {
    UniqueFd lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!lock) {
      return system_error("cannot open the lock file " + file, errno,
                          "check that its directory exists and is ours");
    }
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
      struct stat locked, named;
      if (::fstat(lock.get(), &locked) == 0 && ::stat(file.c_str(), &named) == 0 &&
          locked.st_dev == named.st_dev && locked.st_ino == named.st_ino) {
        return lock;
      }
      if (Clock::now() > deadline) return in_use(path, 0);
      continue;  // Its holder has just gone, and the file with it.
    }
    if (errno != EWOULDBLOCK) return system_error("cannot lock " + file, errno);
    // Held in the name of a dead daemon or of nobody, it is held by who clears up after one, or has
    // just been taken.
    const std::int64_t holder = holder_of(lock.get());
    if (lives(holder) || Clock::now() > deadline) return in_use(path, holder);
    const timespec moment{0, 5'000'000};
    ::nanosleep(&moment, nullptr);
  }
}

/// Tells who holds a lock that was taken.
std::expected<void, Error> sign(const UniqueFd& lock, const std::string& path) {
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return system_error("cannot write " + lock_path(path).string(), errno);
  }
  return {};
}

std::unexpected<Error> no_socket(const std::string& path) {
  return std::unexpected(make_error(
      Reason::kSocketInUse,
      path + " exists and is not a socket: remove it, or choose another path (PLUGIND_SOCKET)"));
}

/// Removes a socket that nobody listens on.  Leaves everything else and says what is in the way.
std::expected<void, Error> clear_path(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return system_error("cannot look at " + path, errno);
  }
  if (!S_ISSOCK(info.st_mode)) return no_socket(path);
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
    if (auto written = sign(*lock, name); !written) return std::unexpected(written.error());
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

void LocalSocket::clear_away(const std::filesystem::path& path, const std::function<void()>& more) {
  std::error_code ec;
  // To take the lock would make its file.
  if (!std::filesystem::exists(lock_path(path), ec)) return;
  auto lock = take_lock(path.string());
  if (!lock) return;
  // Who reads it waits: the pid in it may be another process's by now.
  if (::ftruncate(lock->get(), 0) != 0) return;
  LocalSocket holder;  // Removes the lock's file, and then lets go of it.
  holder.lock_ = lock->release();
  holder.path_ = path;
  if (clear_path(path.string())) more();
}

std::expected<void, Error> LocalSocket::check(const std::filesystem::path& path,
                                              bool makes_directory) {
  if (auto fits = check_socket_path(path.string()); !fits) return fits;
  struct stat info;
  if (::lstat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) return no_socket(path.string());
  if (makes_directory) return {};
  const std::filesystem::path itself = path.parent_path() / ".";  // Of a directory only.
  if (::faccessat(AT_FDCWD, itself.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return {};
  return system_error("cannot make the socket " + path.string(), errno,
                      "its directory must be there, and this user must be able to write to it");
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
