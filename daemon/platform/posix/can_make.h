// Whether a directory could be made, asked without making it.
#pragma once

#include <expected>
#include <filesystem>
#include <string_view>

#include "daemon/error.h"

namespace plugind::platform {

/// Whether this user could make the directory `path`, which is not there, with what is missing
/// above it.  Error: System; it calls `path` "WHAT PATH" and names the directory that is in the
/// way.
std::expected<void, Error> can_make_directory(std::string_view what,
                                              const std::filesystem::path& path);

}  // namespace plugind::platform
