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

/// `ask` is getpwnam_r or getgrnam_r.
template <class Entry, class Ask, class Id>
std::expected<std::uint32_t, std::string> look_up(const std::string& name, const char* noun,
                                                  Ask ask, Id id) {
  for (std::size_t size = 4'096; size <= kMostBytes; size *= 4) {
    std::vector<char> buffer(size);
    Entry entry{};
    Entry* found = nullptr;
    const int error = ask(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) return id(*found);
    if (error == ERANGE) continue;
    // The others are how some services say that there is none.
    if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF || error == EPERM) {
      return std::unexpected(std::string("is no ") + noun + " of this system");
    }
    return std::unexpected("cannot be looked up: " + std::generic_category().message(error));
  }
  return std::unexpected(std::string("cannot be looked up: its entry is too large"));
}

}  // namespace

std::expected<std::uint32_t, std::string> user_id(const std::string& name) {
  return look_up<passwd>(name, "user", ::getpwnam_r,
                         [](const passwd& user) { return user.pw_uid; });
}

std::expected<std::uint32_t, std::string> group_id(const std::string& name) {
  return look_up<group>(name, "group", ::getgrnam_r, [](const group& one) { return one.gr_gid; });
}

std::uint32_t own_user_id() { return ::geteuid(); }

}  // namespace plugind::platform
