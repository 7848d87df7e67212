// Resource limits by control groups, version 2: handing controllers down, and setting the limits of
// one group.
#pragma once

#include <sys/types.h>

#include <expected>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace plugind::platform {

/// The controllers that limits need.
std::span<const std::string_view> limit_controllers();

/// Gives the groups below `group` the controllers, as far as `group` has them itself.  The kernel
/// refuses that to a group that holds processes.  If those are all among `ours` they move to a
/// group of their own below it, supervisor_group(); processes of others are left where they are.
/// Returns why some controller is not there, or "".
std::string hand_down_controllers(const std::filesystem::path& group,
                                  std::span<const std::string_view> controllers,
                                  std::span<const pid_t> ours);

/// Undoes hand_down_controllers() if that has moved processes: `process`, the last one, goes back.
/// Call it when no other group is left below `group`.
void take_controllers_back(const std::filesystem::path& group,
                           std::span<const std::string_view> controllers, pid_t process);

/// Where hand_down_controllers() moves processes to.
std::filesystem::path supervisor_group(const std::filesystem::path& group);
/// `group`, or the group above if `group` is a supervisor_group().
std::filesystem::path without_supervisor(const std::filesystem::path& group);

/// Writes one limit: `file` is "memory.max", `value` "536870912".  Error: why it does not hold, as
/// a phrase.
std::expected<void, std::string> set_group_limit(const std::filesystem::path& group,
                                                 std::string_view file, std::string_view value);

}  // namespace plugind::platform
