// Text files that are written at their end and replaced when they are large enough, in a directory
// that nobody else may change.  Everything here blocks as long as the disk does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/error.h"

namespace plugind::platform {

/// Makes `path` (missing parents included) with mode 0750, or checks that what is there will do: a
/// directory of ours that nobody else may write to.  A symbolic link to one is as good.  Error:
/// ConfigInvalid, telling the chown or chmod to run; System.
std::expected<void, Error> make_log_dir(const std::filesystem::path& path);

/// Whether make_log_dir() would succeed now.  Makes nothing.
std::expected<void, Error> check_log_dir(const std::filesystem::path& path);

/// One file, DIRECTORY/NAME, and its predecessors NAME.1, NAME.2, …, the youngest first.  Nothing
/// is remembered about the directory: each append() looks at it anew, so that files and directory
/// may be removed, moved, truncated and made again at any time, as logrotate and operators do.
class RotatedFile {
 public:
  static constexpr std::uint32_t kMostFiles = 100;
  struct Rotation {
    std::uint64_t size = 0;   ///< Bytes; a file that would grow over it is replaced first.
    std::uint32_t files = 1;  ///< 1 to kMostFiles, the current one among them.
  };
  struct Outcome {
    std::size_t written = 0;                    ///< Bytes: always whole lines.
    std::optional<Error> error = std::nullopt;  ///< Why the rest was not written.
  };

  /// `name` is a file's name: the System error of append() refuses others.
  RotatedFile(std::filesystem::path directory, std::string name);
  RotatedFile(RotatedFile&&) noexcept;
  RotatedFile& operator=(RotatedFile&&) noexcept;
  ~RotatedFile();

  /// Writes `lines`, each of which has its line end.  A file that it makes has mode 0640.  Where
  /// there is no room for the first `together` bytes none of them is written, unless the file is
  /// replaced between them.
  Outcome append(std::string_view lines, Rotation rotation, std::size_t together = 0);
  /// Keeps no descriptor until the next append().  The destructor does the same.
  void close();

  std::filesystem::path path() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plugind::platform
