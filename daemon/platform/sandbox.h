// What a program may not touch: files outside some paths, and the network.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace plugind::platform {

/// Holds for the program and for all that it starts, and cannot be lifted again.  With any of it
/// they gain no privileges either, as with SpawnRequest::no_new_privileges.
struct Sandbox {
  /// If set: files are read-only but below these paths.  A directory, or a single file; absolute;
  /// links are followed once, by the daemon.  /dev/null, /dev/zero and /dev/full stay writable, and
  /// so does what is open already.
  std::optional<std::vector<std::string>> write_paths = {};
  /// If false: no network but a loopback of its own.  Unix sockets that have a path stay.
  bool network = true;

  bool any() const { return write_paths || !network; }
};

}  // namespace plugind::platform
