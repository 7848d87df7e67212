// The options about hosts: how much of everything a connection may have, and who may connect and do
// what.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "daemon/platform/runtime_dir.h"
#include "daemon/plugin/manifest.h"
#include "proto/wire/session.h"

namespace CLI {
class App;
}

namespace plugind::app {

struct HostOptions {
  wire::Limits limits;                        ///< --max-concurrent-streams, --max-metadata-size
  std::chrono::milliseconds idle_timeout{0};  ///< --connection-idle-timeout; 0: never
  std::uint32_t max_connections = 10'000;     ///< --max-connections
  std::uint32_t max_connections_per_user = 1'024;   ///< --max-connections-per-user
  std::optional<plugin::Account> admin_group = {};  ///< --admin-group
  std::uint32_t socket_mode = 0600;                 ///< --socket-mode
  std::optional<std::uint32_t> socket_group = {};   ///< --socket-group, as a gid
};

/// What the user wrote, until it is known to be complete.
class HostOptionTexts {
 public:
  /// Adds the options; this object must live until the command line has been read.
  void add_to(CLI::App& app);
  /// Adds to `mistakes` a sentence for each option that is wrong, and has its default then: which
  /// one it is, and how it is written.
  HostOptions parse(std::vector<std::string>& mistakes) const;

 private:
  std::string max_streams_ = "1024";
  std::string max_metadata_ = "64KiB";
  std::string idle_timeout_ = "0s";
  std::string max_connections_ = "10000";
  std::string max_connections_per_user_ = "1024";
  std::string admin_group_;
  std::string socket_mode_;
  std::string socket_group_;
};

/// Whom sockets of that mode are for.
platform::Reach reach_of(const HostOptions& options);

/// How names in manifests become ids on this system.
plugin::AccountLookup account_lookup();

}  // namespace plugind::app
