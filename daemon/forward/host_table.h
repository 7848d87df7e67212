// Which hosts are connected: a process of one user counts once, whatever number of connections it
// opens.
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
  plugin::HostId process = 0;     ///< Or the connection, where processes cannot be known.
  plugin::HostId connection = 0;  ///< Is no other one's, and no process's.
  platform::PeerIdentity peer;

  /// Whose instance of a plugin of that scope serves it.
  plugin::HostId id(plugin::Scope scope) const {
    return scope == plugin::Scope::kConnection ? connection : process;
  }
};

class HostTable {
 public:
  using Changed = std::function<void(plugin::HostId)>;
  /// `gone`: a connection, or the last one of a process, has closed; `back`: a host has opened its
  /// first one (again: its id is the same for as long as the table remembers it, else a new one).
  HostTable(Changed gone, Changed back) : on_gone_(std::move(gone)), on_back_(std::move(back)) {}

  Host connected(const platform::PeerIdentity& peer) {
    Entry& entry = entries_[{peer.host, peer.uid}];
    if (entry.id == 0) entry.id = next_++;
    if (entry.connections++ == 0) on_back_(entry.id);
    return {entry.id, next_++, peer};
  }
  void disconnected(const Host& host) {
    on_gone_(host.connection);
    const Key key{host.peer.host, host.peer.uid};
    const auto it = entries_.find(key);
    if (it == entries_.end() || --it->second.connections > 0) return;
    gone_.push_back(key);
    if (gone_.size() > kRemembered) {
      const auto oldest = entries_.find(gone_.front());
      if (oldest != entries_.end() && oldest->second.connections == 0) entries_.erase(oldest);
      gone_.pop_front();
    }
    on_gone_(host.process);
  }
  std::size_t size() const { return entries_.size(); }

 private:
  // Hosts without a connection whose id is kept, so that one that comes back soon is known.
  static constexpr std::size_t kRemembered = 1024;
  struct Entry {
    plugin::HostId id = 0;
    std::uint32_t connections = 0;
  };
  // A process that became another user's, by a setuid program for example, is another host: what
  // the first one left in its instances is not for the second one to use.
  struct Key {
    platform::HostKey host;
    std::uint32_t uid;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const { return key.host.hash() * 31 + key.uid; }
  };
  std::unordered_map<Key, Entry, Hash> entries_;
  plugin::HostId next_ = 1;
  std::deque<Key> gone_;  // In the order they went.
  Changed on_gone_;
  Changed on_back_;
};

}  // namespace plugind::forward
