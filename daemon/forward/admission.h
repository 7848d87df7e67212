// How many connections there may be, of all hosts and of one user.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "daemon/forward/access.h"
#include "daemon/platform/peer_identity.h"

namespace plugind::forward {

/// Of the connections that are wanted those that leave descriptors for plugins (some six each) and
/// for the daemon itself, which may have `descriptors` of them.
inline std::size_t connections_within(std::size_t wanted, std::uint64_t descriptors) {
  return std::min<std::uint64_t>(wanted,
                                 descriptors - std::min<std::uint64_t>(descriptors / 4, 1'024));
}

/// Root and the daemon's own user are not counted by user, and the last places are for them: what
/// others do must not keep an operator out.
class Admission {
 public:
  struct Bounds {
    std::size_t all = 10'000;      ///< --max-connections
    std::size_t per_user = 1'024;  ///< --max-connections-per-user, of each other user
  };

  Admission(Bounds bounds, AccessPolicy access) : bounds_(bounds), access_(std::move(access)) {}

  /// Takes a place, which leave() gives back; or a sentence that says why there is none.
  std::optional<std::string> enter(const platform::PeerIdentity& peer) {
    const bool master = access_.is_master(peer);
    const std::size_t reserved = master ? 0 : std::min(kReserved, bounds_.all / 4);
    if (all_ + reserved >= bounds_.all) {
      return "there are " + std::to_string(all_) + " connections, of at most " +
             std::to_string(bounds_.all) + " (--max-connections" +
             (reserved > 0 ? "; the last ones are for root and the daemon's user)" : ")");
    }
    if (!master) {
      std::size_t& count = by_user_[key(peer)];
      if (count >= bounds_.per_user) {
        return (peer.known ? "uid " + std::to_string(peer.uid) : "users whom nobody knows") +
               std::string(" has ") + std::to_string(count) +
               " connections, which is the most (--max-connections-per-user)";
      }
      ++count;
    }
    ++all_;
    return std::nullopt;
  }

  void leave(const platform::PeerIdentity& peer) {
    --all_;
    if (access_.is_master(peer)) return;
    const auto it = by_user_.find(key(peer));
    if (it != by_user_.end() && --it->second == 0) by_user_.erase(it);
  }

  std::size_t users() const { return by_user_.size(); }

 private:
  static constexpr std::size_t kReserved = 16;
  static std::uint64_t key(const platform::PeerIdentity& peer) {
    return peer.known ? peer.uid : UINT64_MAX;  // Those who are not known count as one.
  }

  const Bounds bounds_;
  const AccessPolicy access_;
  std::size_t all_ = 0;
  std::unordered_map<std::uint64_t, std::size_t> by_user_;
};

}  // namespace plugind::forward
