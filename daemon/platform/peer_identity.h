// Who is at the other end of a connected socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <vector>

#include "daemon/error.h"

namespace plugind::platform {

/// Names one host: the peer process of a Unix socket, whatever number of connections it opens, or
/// one TCP connection.  Never the same for two processes, even when a pid is used again.
class HostKey {
 public:
  /// A key that equals no other one.
  static HostKey unique();
  /// The key of the process `pid` that started at `start_time` (any fixed unit).
  static HostKey of_process(std::int64_t pid, std::uint64_t start_time);

  bool operator==(const HostKey&) const = default;
  std::size_t hash() const;
  /// For logs: "pid 4711" or "connection 3".
  std::string describe() const;

 private:
  HostKey(std::int64_t pid, std::uint64_t value) : pid_(pid), value_(value) {}
  std::int64_t pid_;     // 0: a connection of its own
  std::uint64_t value_;  // start time, or a running number
};

struct PeerIdentity {
  /// False over TCP: then uid, gid, groups and pid mean nothing and `host` is unique.
  bool known = false;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups = {};  ///< The supplementary ones.
  std::int64_t pid = 0;
  HostKey host;
};

/// The peer of a connected stream socket; the descriptor is borrowed.  The kernel tells who it was
/// when it connected, whatever it became since; a Unix peer that is gone already has a unique
/// `host`.
/// Error (System): not a socket.
std::expected<PeerIdentity, Error> peer_identity(int socket);

/// The short name of a process, "" if it is gone.  For logs: a process chooses its name itself;
/// control characters are replaced.
std::string process_name(std::int64_t pid);

}  // namespace plugind::platform

template <>
struct std::hash<plugind::platform::HostKey> {
  std::size_t operator()(const plugind::platform::HostKey& key) const { return key.hash(); }
};
