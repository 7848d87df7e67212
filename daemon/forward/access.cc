#include "daemon/forward/access.h"

#include <algorithm>
#include <array>
#include <utility>

namespace plugind::forward {

namespace {

constexpr std::string_view kControlService = "/plugind.v1.PluginHost/";
// The calls of the control API that change nothing.
constexpr std::array<std::string_view, 6> kLooks = {"ListPlugins", "GetPlugin",   "GetDaemonInfo",
                                                    "StreamLogs",  "WatchEvents", "ListCrashes"};

bool is_member(const platform::PeerIdentity& peer, std::uint32_t group) {
  return peer.gid == group || std::ranges::find(peer.groups, group) != peer.groups.end();
}

std::string name_of(const platform::PeerIdentity& peer) {
  return peer.known ? "uid " + std::to_string(peer.uid) : "a caller whom the system cannot name";
}

std::string describe(const plugin::Account& account) {
  const std::string id = std::to_string(account.id);
  return account.name.empty() ? id : "'" + account.name + "' (" + id + ")";
}

}  // namespace

AccessPolicy::AccessPolicy(std::uint32_t own_uid, std::optional<plugin::Account> admin_group)
    : own_uid_(own_uid), admin_group_(std::move(admin_group)) {}

bool AccessPolicy::is_master(const platform::PeerIdentity& peer) const {
  return peer.known && (peer.uid == 0 || peer.uid == own_uid_);
}

std::optional<Error> AccessPolicy::refuse_call(const platform::PeerIdentity& peer,
                                               const plugin::Manifest& manifest) const {
  const plugin::AccessList& list = manifest.access;
  if (list.everybody || is_master(peer)) return std::nullopt;
  if (peer.known) {
    if (std::ranges::find(list.users, peer.uid, &plugin::Account::id) != list.users.end()) {
      return std::nullopt;
    }
    if (std::ranges::any_of(
            list.groups, [&](const plugin::Account& group) { return is_member(peer, group.id); })) {
      return std::nullopt;
    }
  }
  return Error{Reason::kPermissionDenied,
               name_of(peer) + " may not call plugin '" + manifest.name +
                   "': it is neither in access.users nor in a group of access.groups in its "
                   "manifest. Who maintains " +
                   manifest.file.string() + " can add it.",
               {{"plugin", manifest.name}}};
}

std::optional<Error> AccessPolicy::refuse_control(const platform::PeerIdentity& peer,
                                                  std::string_view path) const {
  if (only_looks(path) || is_master(peer)) return std::nullopt;
  if (peer.known && admin_group_ && is_member(peer, admin_group_->id)) return std::nullopt;
  const std::string admins =
      admin_group_ ? "a member of the group " + describe(*admin_group_) + " (--admin-group)"
                   : "a member of an admin group (--admin-group, which is not set)";
  return make_error(Reason::kPermissionDenied,
                    name_of(peer) + " may not call " + std::string(path) +
                        ", which changes something. Call it as the daemon's user (uid " +
                        std::to_string(own_uid_) + "), as root, or as " + admins + ".");
}

bool only_looks(std::string_view path) {
  // Health and reflection, which have no calls that change something.
  if (path.starts_with("/grpc.health.v1.Health/") || path.starts_with("/grpc.reflection.")) {
    return true;
  }
  if (!path.starts_with(kControlService)) return false;
  path.remove_prefix(kControlService.size());
  return std::ranges::find(kLooks, path) != kLooks.end();
}

}  // namespace plugind::forward
