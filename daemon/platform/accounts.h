// The users and groups of this system.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

namespace plugind::platform {

/// The uid of a user, the gid of a group; or the rest of a sentence that begins with the name: "is
/// no user of this system".  May ask a directory service, and wait for it.
std::expected<std::uint32_t, std::string> user_id(const std::string& name);
std::expected<std::uint32_t, std::string> group_id(const std::string& name);

/// A user as a login would have it.
struct UserEntry {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;  ///< The primary group.
  std::string name, home, shell;
};

/// The user of that name or uid.  Errors as for user_id().
std::expected<UserEntry, std::string> user_entry(const std::string& name);
std::expected<UserEntry, std::string> user_entry(std::uint32_t uid);

/// All groups of a user, `gid` included, as initgroups(3) finds them.  May ask a directory service,
/// and wait for it.
std::expected<std::vector<std::uint32_t>, std::string> groups_of(const std::string& user,
                                                                 std::uint32_t gid);

/// The uid that this process acts as.
std::uint32_t own_user_id();

}  // namespace plugind::platform
