// Errors made of errno.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "daemon/error.h"

namespace plugind::platform {

/// "No such file or directory (ENOENT)"
std::string errno_text(int error);

/// Reason::kSystem: "WHAT: No such file or directory (ENOENT)".  `advice`, if any, is appended as a
/// sentence of its own.  If none is given and no descriptor is left, it says what to do about that.
std::unexpected<Error> system_error(std::string_view what, int error, std::string_view advice = {});

}  // namespace plugind::platform
