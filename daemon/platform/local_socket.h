// Listening Unix sockets: one live daemon for a path, and no leftovers in its way.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "daemon/error.h"

namespace plugind::platform {

struct LocalSocketOptions {
  std::uint32_t mode = 0600;  ///< Of the socket file; who may write to it may connect.
  std::optional<std::uint32_t> group = {};  ///< Its group, as a gid; that of the process if absent.
  int backlog = 511;
  /// Holds PATH.lock for the life of the object, so that of two starters exactly one wins.  Without
  /// it the caller must be the only one who may bind there (below a runtime directory that it
  /// holds).
  bool lock = true;
};

/// Whether a Unix socket can have this path.  Error: SocketPathTooLong (length and limit).
std::expected<void, Error> check_socket_path(const std::string& path);

/// A bound, listening Unix stream socket.  Movable; the destructor closes it, removes the socket
/// file if it is still ours, then the lock.
class LocalSocket {
 public:
  /// The directory must exist.  A socket that a dead daemon left is replaced; while somebody still
  /// clears it away (clear_away) this waits for that, for 5 s at most.
  /// Errors: SocketPathTooLong (length and limit); SocketInUse (with the pid of the holder if it is
  /// known), also when something else than a socket is at the path; System.
  static std::expected<LocalSocket, Error> listen(const std::filesystem::path& path,
                                                  LocalSocketOptions options = {});

  /// Removes the socket and the lock that a dead daemon left at `path`, and calls `more` before it
  /// lets the lock go.  Where something living holds one of them nothing is done.
  static void clear_away(const std::filesystem::path& path, const std::function<void()>& more);

  /// What listen() would refuse about `path`, as far as looking tells.  Whether somebody listens
  /// there already is not asked: it may be the daemon that is to have the same options.  A
  /// directory that is not there is told unless the caller `makes_directory`.  Errors as for
  /// listen().
  static std::expected<void, Error> check(const std::filesystem::path& path, bool makes_directory);

  LocalSocket(LocalSocket&& other) noexcept;
  LocalSocket& operator=(LocalSocket&& other) noexcept;
  ~LocalSocket();

  const std::filesystem::path& path() const { return path_; }
  /// Close-on-exec and non-blocking; borrowed.  -1 after release().
  int native_handle() const { return socket_; }
  /// Hands the descriptor over, for example to an Asio acceptor; file and lock stay with this
  /// object.
  int release();

 private:
  LocalSocket() = default;
  void close();

  std::filesystem::path path_;
  int socket_ = -1;
  int lock_ = -1;
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
};

}  // namespace plugind::platform
