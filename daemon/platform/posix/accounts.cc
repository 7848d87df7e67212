#include "daemon/platform/accounts.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

namespace plugind::platform {
namespace {

// A group may have thousands of members, all of which come with it.
constexpr std::size_t kMostBytes = 16 << 20;

/// `ask` calls getpwnam_r or one of its siblings; `result` makes of the entry what is wanted.
template <class Entry, class Ask, class Result>
auto look_up(const char* noun, Ask ask, Result result)
    -> std::expected<decltype(result(Entry{})), std::string> {
  for (std::size_t size = 4'096; size <= kMostBytes; size *= 4) {
    std::vector<char> buffer(size);
    Entry entry{};
    Entry* found = nullptr;
    const int error = ask(&entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) return result(*found);
    if (error == ERANGE) continue;
    // The others are how some services say that there is none.
    if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM) {
      return std::unexpected(std::string("is no ") + noun + " of this system");
    }
    return std::unexpected("cannot be looked up: " + std::generic_category().message(error));
  }
  return std::unexpected(std::string("cannot be looked up: its entry is too large"));
}

UserEntry user_of(const passwd& entry) {
  return {entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir, entry.pw_shell};
}

// The kernel's bound, and more than any user has.
constexpr int kMostGroups = 65'536;

}  // namespace

std::expected<UserEntry, std::string> user_entry(const std::string& name) {
  return look_up<passwd>(
      "user", [&](auto... rest) { return ::getpwnam_r(name.c_str(), rest...); }, user_of);
}

std::expected<UserEntry, std::string> user_entry(std::uint32_t uid) {
  return look_up<passwd>(
      "user", [&](auto... rest) { return ::getpwuid_r(uid, rest...); }, user_of);
}

std::expected<std::uint32_t, std::string> user_id(const std::string& name) {
  auto entry = user_entry(name);
  if (!entry) return std::unexpected(std::move(entry.error()));
  return entry->uid;
}

std::expected<std::uint32_t, std::string> group_id(const std::string& name) {
  return look_up<group>(
      "group", [&](auto... rest) { return ::getgrnam_r(name.c_str(), rest...); },
      [](const group& one) -> std::uint32_t { return one.gr_gid; });
}

std::expected<std::vector<std::uint32_t>, std::string> groups_of(const std::string& user,
                                                                 std::uint32_t gid) {
  for (int size = 64; size <= kMostGroups; size *= 8) {
    std::vector<gid_t> groups(static_cast<std::size_t>(size));
    int count = size;
    if (::getgrouplist(user.c_str(), gid, groups.data(), &count) == -1) continue;
    return std::vector<std::uint32_t>(groups.begin(), groups.begin() + count);
  }
  return std::unexpected(std::string("is in too many groups"));
}

std::uint32_t own_user_id() { return ::geteuid(); }

}  // namespace plugind::platform
