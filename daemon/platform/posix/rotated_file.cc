#include "daemon/platform/rotated_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "daemon/platform/posix/can_make.h"
#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unique_fd.h"

namespace plugind::platform {
namespace {

constexpr mode_t kDirectoryMode = 0750;
constexpr mode_t kFileMode = 0640;

std::unexpected<Error> unsafe(const std::string& path, const std::string& why,
                              const std::string& fix) {
  return std::unexpected(
      make_error(Reason::kConfigInvalid, "the log directory " + path + " " + why + ": run " + fix));
}

std::expected<UniqueFd, Error> open_checked(const std::filesystem::path& path) {
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return system_error("cannot open the log directory " + path.string(), errno);
  struct stat info;
  if (::fstat(directory.get(), &info) != 0) {
    return system_error("cannot look at the log directory " + path.string(), errno);
  }
  const std::string own = std::to_string(::geteuid());
  if (info.st_uid != ::geteuid()) {
    return unsafe(path.string(),
                  "belongs to uid " + std::to_string(info.st_uid) + ", plugind runs as uid " + own,
                  "chown " + own + " " + path.string());
  }
  if ((info.st_mode & 022) != 0) {
    char mode[8];
    std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(info.st_mode & 07777));
    return unsafe(path.string(), "may be written to by others (mode " + std::string(mode) + ")",
                  "chmod 0750 " + path.string());
  }
  return directory;
}

/// As many whole lines of `lines` as have at most `size` bytes together.
std::size_t whole_lines(std::string_view lines, std::uint64_t size) {
  if (lines.size() <= size) return lines.size();
  if (size == 0) return 0;
  const std::size_t last = lines.rfind('\n', static_cast<std::size_t>(size) - 1);
  return last == lines.npos ? 0 : last + 1;
}

std::expected<void, Error> check_existing(const std::filesystem::path& path) {
  const auto directory = open_checked(path);
  if (!directory) return std::unexpected(directory.error());
  if (::faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    return system_error("cannot write to the log directory " + path.string(), errno);
  }
  return {};
}

/// Takes the last bytes off, such as half a line: the next one would be glued to it.
void take_back(int file, std::size_t bytes) {
  struct stat info;
  const auto count = static_cast<off_t>(bytes);
  // By the size that it has now, as logrotate may have truncated it.
  if (count == 0 || ::fstat(file, &info) != 0 || info.st_size < count) return;
  if (::ftruncate(file, info.st_size - count) != 0) (void)!::write(file, "\n", 1);
}

/// Writes all of it, or what there is room for; `written` counts.  0 or errno.
int write_all(int file, std::string_view text, std::size_t& written) {
  while (written < text.size()) {
    const ssize_t n = ::write(file, text.data() + written, text.size() - written);
    if (n > 0) {
      written += static_cast<std::size_t>(n);
    } else if (n == 0) {
      return EIO;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

}  // namespace

std::expected<void, Error> make_log_dir(const std::filesystem::path& path) {
  std::error_code ec;
  std::filesystem::create_directories(path.parent_path(), ec);
  if (ec) {
    return system_error("cannot make the directory " + path.parent_path().string(), ec.value());
  }
  if (::mkdir(path.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
    return system_error("cannot make the log directory " + path.string(), errno);
  }
  return check_existing(path);
}

std::expected<void, Error> check_log_dir(const std::filesystem::path& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) == 0) return check_existing(path);
  return can_make_directory("log directory", path);
}

class RotatedFile::Impl {
 public:
  Impl(std::filesystem::path directory, std::string name)
      : directory_(std::move(directory)), name_(std::move(name)) {}

  Outcome append(std::string_view lines, Rotation rotation, std::size_t together);
  void close() { file_.reset(); }
  std::filesystem::path path() const { return directory_ / name_; }

 private:
  std::expected<UniqueFd, Error> open_directory() const;
  std::expected<std::uint64_t, Error> open_file(int directory);
  std::expected<void, Error> rotate(int directory, std::uint32_t files);

  const std::filesystem::path directory_;
  const std::string name_;
  UniqueFd file_;
};

std::expected<UniqueFd, Error> RotatedFile::Impl::open_directory() const {
  if (name_.empty() || name_ == "." || name_ == ".." || name_.find('/') != name_.npos) {
    return std::unexpected(
        make_error(Reason::kSystem, "\"" + name_ + "\" is not a name for a file in " +
                                        directory_.string() + ": it must have no '/'"));
  }
  return open_checked(directory_);
}

/// Opens the file unless it is, and is the one that has its name.  Its size.
std::expected<std::uint64_t, Error> RotatedFile::Impl::open_file(int directory) {
  struct stat info;
  if (file_) {
    struct stat named;
    if (::fstat(file_.get(), &info) == 0 &&
        ::fstatat(directory, name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        info.st_dev == named.st_dev && info.st_ino == named.st_ino) {
      return static_cast<std::uint64_t>(info.st_size);
    }
    file_.reset();
  }
  // Not blocking, as somebody may have put a FIFO there.
  constexpr int kFlags = O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  UniqueFd file(::openat(directory, name_.c_str(), kFlags | O_CREAT | O_EXCL, kFileMode));
  if (file) {
    ::fchmod(file.get(), kFileMode);  // whatever the umask took away
  } else if (errno == EEXIST) {
    file.reset(::openat(directory, name_.c_str(), kFlags));
  }
  if (!file) return system_error("cannot open " + path().string(), errno);
  if (::fstat(file.get(), &info) != 0) {
    return system_error("cannot look at " + path().string(), errno);
  }
  if (!S_ISREG(info.st_mode)) {
    return std::unexpected(make_error(
        Reason::kSystem, path().string() + " is not a file: remove it, or move it elsewhere"));
  }
  file_ = std::move(file);
  // A daemon that was killed while it wrote may have left half a line.
  char last = '\n';
  if (info.st_size > 0 && ::pread(file_.get(), &last, 1, info.st_size - 1) == 1 && last != '\n' &&
      ::write(file_.get(), "\n", 1) == 1) {
    ++info.st_size;
  }
  return static_cast<std::uint64_t>(info.st_size);
}

/// The current file becomes the youngest of the old ones; the next open_file() makes another.
std::expected<void, Error> RotatedFile::Impl::rotate(int directory, std::uint32_t files) {
  const auto numbered = [this](std::uint32_t number) {
    return number == 0 ? name_ : name_ + "." + std::to_string(number);
  };
  // Those that there are too many of, now that there may be fewer than there were.
  for (std::uint32_t number = files; number < kMostFiles; ++number) {
    if (::unlinkat(directory, numbered(number).c_str(), 0) != 0 && errno != ENOENT) {
      return system_error("cannot remove " + (directory_ / numbered(number)).string(), errno);
    }
  }
  if (files == 1) {
    if (::ftruncate(file_.get(), 0) != 0) {
      return system_error("cannot empty " + path().string(), errno);
    }
    return {};
  }
  for (std::uint32_t number = files - 1; number > 0; --number) {
    const std::string from = numbered(number - 1);
    if (::renameat(directory, from.c_str(), directory, numbered(number).c_str()) != 0 &&
        errno != ENOENT) {
      return system_error("cannot rename " + (directory_ / from).string(), errno);
    }
  }
  file_.reset();
  return {};
}

RotatedFile::Outcome RotatedFile::Impl::append(std::string_view lines, Rotation rotation,
                                               std::size_t together) {
  Outcome outcome;
  const auto failed = [&](Error error) {
    outcome.error = std::move(error);
    return std::move(outcome);
  };
  const auto directory = open_directory();
  if (!directory) return failed(directory.error());
  while (outcome.written < lines.size()) {
    const auto size = open_file(directory->get());
    if (!size) return failed(size.error());
    const std::string_view rest = lines.substr(outcome.written);
    std::size_t fitting = whole_lines(rest, rotation.size > *size ? rotation.size - *size : 0);
    if (fitting == 0 && *size > 0) {
      if (auto rotated = rotate(directory->get(), rotation.files); !rotated) {
        return failed(rotated.error());
      }
      continue;
    }
    if (fitting == 0) fitting = rest.find('\n') + 1;  // A line larger than a file.
    if (fitting == 0) fitting = rest.size();
    std::size_t written = 0;
    const int problem = write_all(file_.get(), rest.substr(0, fitting), written);
    if (problem != 0) {
      std::size_t whole = whole_lines(rest, written);
      if (outcome.written == 0 && whole < together) whole = 0;
      take_back(file_.get(), written - whole);
      outcome.written += whole;
      return failed(system_error("cannot write to " + path().string(), problem).error());
    }
    outcome.written += fitting;
  }
  return outcome;
}

RotatedFile::RotatedFile(std::filesystem::path directory, std::string name)
    : impl_(std::make_unique<Impl>(std::move(directory), std::move(name))) {}
RotatedFile::RotatedFile(RotatedFile&&) noexcept = default;
RotatedFile& RotatedFile::operator=(RotatedFile&&) noexcept = default;
RotatedFile::~RotatedFile() = default;

RotatedFile::Outcome RotatedFile::append(std::string_view lines, Rotation rotation,
                                         std::size_t together) {
  return impl_->append(lines, rotation, together);
}

void RotatedFile::close() { impl_->close(); }

std::filesystem::path RotatedFile::path() const { return impl_->path(); }

}  // namespace plugind::platform
