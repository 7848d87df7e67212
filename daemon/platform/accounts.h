// The users and groups of this system.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace plugind::platform {

/// The uid of a user, the gid of a group; or the rest of a sentence that begins with the name: "is
/// no user of this system".  May ask a directory service, and wait for it.
std::expected<std::uint32_t, std::string> user_id(const std::string& name);
std::expected<std::uint32_t, std::string> group_id(const std::string& name);

/// The uid that this process acts as.
std::uint32_t own_user_id();

}  // namespace plugind::platform
