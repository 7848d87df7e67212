// Which hosts are connected: a process counts once, whatever number of connections it opens.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>
#include <utility>

#include "daemon/platform/peer_identity.h"
#include "daemon/plugin/instance.h"

namespace plugind::forward {

struct Host {
  plugin::HostId id = 0;
  platform::PeerIdentity peer;
};

class HostTable {
 public:
  using Changed = std::function<void(plugin::HostId)>;
  /// `gone`: the last connection of a host has closed; `back`: a host has opened its first one
  /// (again: its id is the same for as long as the table remembers it, else a new one).
  HostTable(Changed gone, Changed back) : on_gone_(std::move(gone)), on_back_(std::move(back)) {}

  Host connected(const platform::PeerIdentity& peer) {
    Entry& entry = entries_[peer.host];
    if (entry.id == 0) entry.id = next_++;
    if (entry.connections++ == 0) on_back_(entry.id);
    return {entry.id, peer};
  }
  void disconnected(const Host& host) {
    const auto it = entries_.find(host.peer.host);
    if (it == entries_.end() || --it->second.connections > 0) return;
    gone_.push_back(host.peer.host);
    if (gone_.size() > kRemembered) {
      const auto oldest = entries_.find(gone_.front());
      if (oldest != entries_.end() && oldest->second.connections == 0) entries_.erase(oldest);
      gone_.pop_front();
    }
    on_gone_(host.id);
  }
  std::size_t size() const { return entries_.size(); }

 private:
  // Hosts without a connection whose id is kept, so that one that comes back soon is known.
  static constexpr std::size_t kRemembered = 1024;
  struct Entry {
    plugin::HostId id = 0;
    std::uint32_t connections = 0;
  };
  std::unordered_map<platform::HostKey, Entry> entries_;
  plugin::HostId next_ = 1;
  std::deque<platform::HostKey> gone_;  // In the order they went.
  Changed on_gone_;
  Changed on_back_;
};

}  // namespace plugind::forward
