// What the control service needs of the composition root.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/finding.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::control {

/// What only the composition root knows about the daemon.
struct DaemonFacts {
  std::string version;
  std::int64_t pid = 0;
  std::chrono::system_clock::time_point start_time;
  std::string socket;  ///< The front socket, as an address.
  std::filesystem::path runtime_dir;
  std::filesystem::path manifest_dir;
  std::uint32_t connections = 0;     ///< Open connections of hosts.
  std::uint64_t resident_bytes = 0;  ///< 0 where the platform does not tell.
};

/// What a look at everything has found.
struct Diagnosis {
  std::vector<plugin::Finding> findings;
  std::size_t plugins = 0;  ///< How many were looked at.
};
using DiagnoseCallback = std::function<void(std::expected<Diagnosis, Error>)>;

/// Called on the loop only.
struct ControlHooks {
  /// Loads the manifests and applies them; on an Error nothing has changed.
  std::function<std::expected<plugin::ReloadSummary, Error>()> reload;
  /// Loads the manifests and upgrades the plugin of that name to what its manifest says now; see
  /// plugin::Supervisor::upgrade.
  std::function<void(const std::string& name, plugin::Supervisor::StatusCallback done)> upgrade;
  std::function<DaemonFacts()> facts;
  /// Looks at the plugin of this name, or, for "", at the daemon and all plugins; `done` is called
  /// on the loop.
  std::function<void(const std::string& name, DiagnoseCallback done)> diagnose;
};

}  // namespace plugind::control
