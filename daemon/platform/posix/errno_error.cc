#include "daemon/platform/posix/errno_error.h"

#include <cerrno>
#include <cstring>

namespace plugind::platform {

std::string errno_text(int error) {
  std::string text = ::strerror(error);
  if (const char* name = ::strerrorname_np(error)) text += std::string(" (") + name + ")";
  return text;
}

std::unexpected<Error> system_error(std::string_view what, int error, std::string_view advice) {
  std::string message = std::string(what) + ": " + errno_text(error);
  if (advice.empty() && error == EMFILE) {
    advice = "plugind has too many open files; raise its limit (ulimit -n, LimitNOFILE=)";
  }
  if (!advice.empty()) message += "; " + std::string(advice);
  return std::unexpected(make_error(Reason::kSystem, std::move(message)));
}

}  // namespace plugind::platform
