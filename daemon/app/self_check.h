// What may be wrong with the daemon itself and with what it stands on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "daemon/platform/surroundings.h"
#include "daemon/plugin/finding.h"
#include "daemon/plugin/manifest.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::app {

struct SelfFacts {
  std::uint32_t uid = 0;  ///< The daemon's.
  std::filesystem::path runtime_dir;
  platform::DirectoryLook runtime;
  std::vector<std::string> lost_sockets;  ///< That are no longer where hosts look for them.
  std::uint64_t descriptors = 0;          ///< Open ones; 0: nobody tells.
  std::uint64_t max_descriptors = 0;
  std::size_t connections = 0;         ///< Of hosts, at most.
  std::size_t wanted_connections = 0;  ///< --max-connections
  std::uint64_t memory = UINT64_MAX;   ///< Available, in bytes.
  bool control_groups = true;          ///< They keep process trees.
  std::string trees;                   ///< How process trees are kept, a sentence.
  std::string manifest_mistakes;       ///< Of the manifests as they are on disk now; "" if none.
  std::vector<std::string> changed;    ///< Plugins whose manifest on disk is another one.
};

/// In the order in which an operator wants to know.
std::vector<plugin::Finding> judge(const SelfFacts& facts);

/// Whether the plugin has its own socket at this address.
std::optional<plugin::Finding> look_at_socket(const std::string& plugin,
                                              const std::string& address);

/// The names of the plugins that a reload would add, remove or change.
std::vector<std::string> changed_manifests(const std::vector<plugin::Manifest>& on_disk,
                                           const std::vector<plugin::PluginStatus>& registered);

}  // namespace plugind::app
