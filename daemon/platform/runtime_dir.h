// The runtime directory: sockets and the instances' temporary files.
#pragma once

#include <array>
#include <expected>
#include <filesystem>
#include <string>
#include <utility>

#include "daemon/error.h"

namespace plugind::platform {

/// The address of the front socket if none is given: $PLUGIND_SOCKET as it stands, else
/// "unix:$XDG_RUNTIME_DIR/plugind/plugind.sock", else "unix:/run/plugind/plugind.sock".
std::string default_socket_address();

/// Whether others than our user are to reach sockets in it.
enum class Reach { kOwner, kOthers };

/// The runtime directory: the directory of the front socket.
class RuntimeDir {
 public:
  /// Makes `path` (missing parents included) and its subdirectories, or checks that they are safe:
  /// directories that belong to us and that nobody else may write to.  They get the mode 0700,
  /// users() 0711; with Reach::kOthers `path` and plugins() get 0711, too.  A `path` that is there
  /// already keeps its mode. Error: RuntimeDirUnsafe, telling the chown or chmod to run;
  /// ConfigInvalid: others are to reach what is in `path`, and its mode keeps them out; System.
  static std::expected<RuntimeDir, Error> open(const std::filesystem::path& path,
                                               Reach reach = Reach::kOwner);

  /// One that open() has made.  Makes and changes nothing.  Errors: RuntimeDirUnsafe; System, also
  /// if it is not there.
  static std::expected<RuntimeDir, Error> existing(const std::filesystem::path& path);

  /// What open() would refuse about `path`, and a control_socket() in it that would be too long; as
  /// far as looking tells, for the user who asks.  Makes and changes nothing.  Errors as for
  /// open(), and SocketPathTooLong.
  static std::expected<void, Error> check(const std::filesystem::path& path,
                                          Reach reach = Reach::kOwner);

  /// Removes what a dead daemon left below plugins/, instances/ and users/.  Only for the one
  /// daemon that may be here: call it once the front socket's lock is held (local_socket.h).
  std::expected<void, Error> clear_leftovers() const;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path plugins() const { return path_ / "plugins"; }
  std::filesystem::path instances() const { return path_ / "instances"; }
  /// The same for plugins of other users, who must be able to pass through it: mode 0711.
  std::filesystem::path users() const { return path_ / "users"; }
  /// Where the control service listens: in a directory that is ours alone, whoever may reach the
  /// other sockets.  What comes in there has been checked already.
  std::filesystem::path control_socket() const { return instances() / "control.sock"; }

 private:
  explicit RuntimeDir(std::filesystem::path path) : path_(std::move(path)) {}
  /// path() and its subdirectories, in the order in which they are made.
  std::array<std::filesystem::path, 4> all() const {
    return {path(), plugins(), instances(), users()};
  }
  std::filesystem::path path_;
};

/// Makes or verifies one private directory: mode 0700, ours, not a symlink.  Errors as for
/// RuntimeDir::open.
std::expected<void, Error> make_private_dir(const std::filesystem::path& path);

/// Removes a file or a directory with all it holds.  Follows no symlink, crosses no mount.
/// Nothing there is no Error.
std::expected<void, Error> remove_tree(const std::filesystem::path& path);

}  // namespace plugind::platform
