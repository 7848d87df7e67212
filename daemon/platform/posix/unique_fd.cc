#include "daemon/platform/posix/unique_fd.h"

#include <cerrno>

namespace plugind::platform {

void UniqueFd::reset(int fd) {
  if (fd_ != -1) {
    const int saved = errno;
    ::close(fd_);
    errno = saved;
  }
  fd_ = fd;
}

}  // namespace plugind::platform
