#include "daemon/platform/posix/can_make.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "daemon/platform/posix/errno_error.h"

namespace plugind::platform {

std::expected<void, Error> can_make_directory(std::string_view what,
                                              const std::filesystem::path& path) {
  for (std::filesystem::path above = path.parent_path();; above = above.parent_path()) {
    // Below a directory only is there a ".".
    if (::faccessat(AT_FDCWD, (above / ".").c_str(), W_OK | X_OK, AT_EACCESS) == 0) return {};
    if (errno != ENOENT || above == above.parent_path()) {
      return system_error(
          "cannot make the " + std::string(what) + " " + path.string() + " in " + above.string(),
          errno);
    }
  }
}

}  // namespace plugind::platform
