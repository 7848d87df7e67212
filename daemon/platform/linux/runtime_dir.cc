#include "daemon/platform/runtime_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "daemon/platform/local_socket.h"
#include "daemon/platform/posix/can_make.h"
#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {
namespace {

// Deeper trees are somebody's mistake or attack; the error says so.
constexpr int kMaxDepth = 64;

std::unexpected<Error> unsafe(const std::string& path, const std::string& why,
                              const std::string& fix) {
  return std::unexpected(
      make_error(Reason::kRuntimeDirUnsafe, "the directory " + path + " " + why + ": run " + fix));
}

std::string octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof(text), "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

std::expected<void, Error> check_private(int directory, const std::string& path) {
  struct stat info;
  if (::fstat(directory, &info) != 0) return system_error("cannot look at " + path, errno);
  if (info.st_uid != ::geteuid()) {
    return unsafe(path,
                  "belongs to uid " + std::to_string(info.st_uid) + ", plugind runs as uid " +
                      std::to_string(::geteuid()),
                  "chown " + std::to_string(::geteuid()) + " " + path);
  }
  if ((info.st_mode & S_ISVTX) != 0) {
    return std::unexpected(
        make_error(Reason::kRuntimeDirUnsafe,
                   "the directory " + path + " is shared with others (mode " + octal(info.st_mode) +
                       "): use one of plugind's own, such as " + path + "/plugind"));
  }
  if ((info.st_mode & 022) != 0) {
    return unsafe(path, "may be written to by others (mode " + octal(info.st_mode) + ")",
                  "chmod 0700 " + path);
  }
  return {};
}

/// Everything below `directory`, which keeps being there itself.
std::expected<void, Error> clear_directory(int directory, const std::string& path, dev_t device,
                                           int depth) {
  if (depth > kMaxDepth) {
    return std::unexpected(
        make_error(Reason::kSystem, "the directory " + path + " is nested deeper than " +
                                        std::to_string(kMaxDepth) + " levels: remove it by hand"));
  }
  const int listing = ::fcntl(directory, F_DUPFD_CLOEXEC, 0);
  std::unique_ptr<DIR, int (*)(DIR*)> entries(listing == -1 ? nullptr : ::fdopendir(listing),
                                              &::closedir);
  if (!entries) {
    const int error = errno;
    if (listing != -1) ::close(listing);
    return system_error("cannot read the directory " + path, error);
  }
  ::rewinddir(entries.get());  // the duplicate shares the position
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(entries.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  for (const std::string& name : names) {
    const std::string full = path + "/" + name;
    if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) continue;
    if (errno != EISDIR && errno != EPERM) return system_error("cannot remove " + full, errno);
    UniqueFd child(
        ::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!child && errno == EACCES) {
      ::fchmodat(directory, name.c_str(), 0700, 0);
      child.reset(
          ::openat(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
    if (!child) return system_error("cannot remove " + full, errno);
    struct stat info;
    if (::fstat(child.get(), &info) != 0) return system_error("cannot look at " + full, errno);
    if (info.st_dev != device) {
      return std::unexpected(make_error(
          Reason::kSystem, full + " is on another file system and is left alone: unmount it"));
    }
    if (auto done = clear_directory(child.get(), full, device, depth + 1); !done) return done;
    if (::unlinkat(directory, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      return system_error("cannot remove " + full, errno);
    }
  }
  return {};
}

std::expected<void, Error> clear_directory(const std::filesystem::path& path) {
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) return system_error("cannot open " + path.string(), errno);
  struct stat info;
  if (::fstat(directory.get(), &info) != 0) {
    return system_error("cannot look at " + path.string(), errno);
  }
  return clear_directory(directory.get(), path.string(), info.st_dev, 0);
}

/// The mode of a directory that we have just made, whatever the umask took away.
std::expected<void, Error> set_mode(const std::filesystem::path& path, mode_t mode) {
  // Not by its path, which might lead elsewhere by now, and not by opening it, which the umask may
  // have made impossible.
  const UniqueFd place(::open(path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const std::string itself = "/proc/self/fd/" + std::to_string(place.get());
  if (!place || ::chmod(itself.c_str(), mode) != 0) {
    return system_error("cannot set the mode of " + path.string(), errno);
  }
  return {};
}

std::expected<void, Error> check_private_dir(const std::filesystem::path& path) {
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) {
    if (errno == ENOTDIR || errno == ELOOP) {
      return unsafe(path.string(), "is not a directory, or is a symbolic link",
                    "rm " + path.string());
    }
    if (errno == EACCES) {
      return unsafe(path.string(), "cannot be opened by uid " + std::to_string(::geteuid()),
                    "chown " + std::to_string(::geteuid()) + " " + path.string() +
                        " && chmod 0700 " + path.string());
    }
    return system_error("cannot open the directory " + path.string(), errno);
  }
  return check_private(directory.get(), path.string());
}

std::expected<void, Error> check_absolute(const std::filesystem::path& path) {
  if (path.is_absolute()) return {};
  return std::unexpected(
      make_error(Reason::kConfigInvalid,
                 "the runtime directory " + path.string() + " is not an absolute path"));
}

mode_t mode_of(Reach reach) { return reach == Reach::kOthers ? 0711 : 0700; }

/// Others are to pass through the runtime directory on their way to its sockets.
std::expected<void, Error> check_passable(const std::filesystem::path& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) {
    return system_error("cannot look at " + path.string(), errno);
  }
  if ((info.st_mode & 011) != 0) return {};
  return std::unexpected(make_error(
      Reason::kConfigInvalid, "the directory " + path.string() + " has mode " +
                                  octal(info.st_mode) +
                                  ", so the users whom --socket-mode lets in cannot reach the "
                                  "sockets in it: run chmod 0711 " +
                                  path.string()));
}

}  // namespace

std::string default_socket_address() {
  if (const char* socket = std::getenv("PLUGIND_SOCKET"); socket && *socket) return socket;
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime && *runtime == '/') {
    return "unix:" + std::string(runtime) + "/plugind/plugind.sock";
  }
  return "unix:/run/plugind/plugind.sock";
}

std::expected<void, Error> make_private_dir(const std::filesystem::path& path) {
  const bool made = ::mkdir(path.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) {
    return system_error("cannot make the directory " + path.string(), errno);
  }
  if (made) {
    if (auto set = set_mode(path, 0700); !set) return set;
  }
  return check_private_dir(path);
}

std::expected<RuntimeDir, Error> RuntimeDir::open(const std::filesystem::path& path, Reach reach) {
  if (auto absolute = check_absolute(path); !absolute) return std::unexpected(absolute.error());
  std::error_code ec;
  std::filesystem::create_directories(path.parent_path(), ec);
  if (ec)
    return system_error("cannot make the directory " + path.parent_path().string(), ec.value());
  RuntimeDir result(path);
  const bool is_new = !std::filesystem::exists(path, ec);
  for (const auto& directory : result.all()) {
    if (auto made = make_private_dir(directory); !made) return std::unexpected(made.error());
  }
  if (is_new) {
    if (auto set = set_mode(path, mode_of(reach)); !set) return std::unexpected(set.error());
  }
  // It is the daemon's own; the last one may have had other settings.
  if (auto set = set_mode(result.plugins(), mode_of(reach)); !set) {
    return std::unexpected(set.error());
  }
  if (auto set = set_mode(result.users(), 0711); !set) return std::unexpected(set.error());
  if (reach == Reach::kOthers) {
    if (auto passable = check_passable(path); !passable) return std::unexpected(passable.error());
  }
  return result;
}

std::expected<RuntimeDir, Error> RuntimeDir::existing(const std::filesystem::path& path) {
  RuntimeDir result(path);
  for (const auto& directory : result.all()) {
    if (auto safe = check_private_dir(directory); !safe) return std::unexpected(safe.error());
  }
  return result;
}

std::expected<void, Error> RuntimeDir::check(const std::filesystem::path& path, Reach reach) {
  if (auto absolute = check_absolute(path); !absolute) return absolute;
  const RuntimeDir looked_at(path);
  if (auto fits = check_socket_path(looked_at.control_socket()); !fits) return fits;
  struct stat info;
  for (const auto& directory : looked_at.all()) {
    const bool there = ::lstat(directory.c_str(), &info) == 0;
    const auto usable =
        there ? check_private_dir(directory) : can_make_directory("directory", directory);
    if (!usable) return usable;
  }
  if (reach == Reach::kOwner || ::lstat(path.c_str(), &info) != 0) return {};
  return check_passable(path);
}

std::expected<void, Error> RuntimeDir::clear_leftovers() const {
  for (const auto& directory : {plugins(), instances(), users()}) {
    if (auto cleared = clear_directory(directory); !cleared) return cleared;
  }
  return {};
}

std::expected<void, Error> remove_tree(const std::filesystem::path& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) {
    return system_error("cannot remove " + path.string(), errno);
  }
  if (auto cleared = clear_directory(path); !cleared) return cleared;
  if (::rmdir(path.c_str()) != 0 && errno != ENOENT) {
    return system_error("cannot remove " + path.string(), errno);
  }
  return {};
}

}  // namespace plugind::platform
