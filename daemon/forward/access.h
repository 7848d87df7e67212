// Who may do what.  The one place that decides it, by what the kernel says of a connection's peer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/error.h"
#include "daemon/platform/accounts.h"
#include "daemon/platform/peer_identity.h"
#include "daemon/plugin/manifest.h"

namespace plugind::forward {

/// Root and the daemon's own user may do everything: they could do it to the daemon's process, too.
class AccessPolicy {
 public:
  /// `admin_group`: its members may use every control call, besides those two.
  explicit AccessPolicy(std::uint32_t own_uid = platform::own_user_id(),
                        std::optional<plugin::Account> admin_group = {});

  /// Why the peer may not call the plugin; nothing if it may.
  std::optional<Error> refuse_call(const platform::PeerIdentity& peer,
                                   const plugin::Manifest& manifest) const;
  /// Why the peer may not make this call ("/package.Service/Method") to the daemon itself; nothing
  /// if it may.
  std::optional<Error> refuse_control(const platform::PeerIdentity& peer,
                                      std::string_view path) const;
  /// Root, or the daemon's own user.
  bool is_master(const platform::PeerIdentity& peer) const;

 private:
  std::uint32_t own_uid_;
  std::optional<plugin::Account> admin_group_;
};

/// Whether a call of the control API only looks.  One that is not known to is taken to change
/// something, so that a new one is closed until somebody decides.
bool only_looks(std::string_view path);

}  // namespace plugind::forward
