#include "daemon/app/self_check.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "daemon/platform/local_socket.h"

namespace plugind::app {

using plugin::Finding;
using plugin::Severity;

namespace {

constexpr std::uint64_t kMiB = 1 << 20;
// A start needs a directory and some sockets; a plugin may want temporary files.
constexpr std::uint64_t kNoRoom = 1 * kMiB, kLittleRoom = 16 * kMiB;
constexpr std::uint64_t kFewFiles = 16;
constexpr std::uint64_t kLittleMemory = 64 * kMiB;
// What a start of a plugin and a few connections need.
constexpr std::uint64_t kFewDescriptors = 16;
constexpr std::size_t kMostNames = 20;

std::string octal(std::uint32_t mode) {
  char text[8];
  std::snprintf(text, sizeof(text), "%04o", mode);
  return text;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMostNames); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kMostNames) {
    text += " and " + std::to_string(names.size() - kMostNames) + " more";
  }
  return text;
}

class Judge {
 public:
  explicit Judge(const SelfFacts& facts) : facts_(facts), dir_(facts.runtime_dir.string()) {}

  std::vector<Finding> findings() {
    runtime_dir();
    room();
    descriptors();
    manifests();
    memory();
    control_groups();
    return std::move(findings_);
  }

 private:
  void add(Severity severity, const char* check, std::string what, std::string remedy) {
    findings_.push_back({severity, check, "", std::move(what), std::move(remedy)});
  }

  void runtime_dir() {
    const platform::DirectoryLook& look = facts_.runtime;
    if (!look.is_directory) {
      return add(Severity::kError, "runtime-dir",
                 "the runtime directory " + dir_ + " is gone, and hosts cannot connect any more",
                 "restart plugind, and keep what cleans up old files from it");
    }
    if (look.uid != facts_.uid) {
      add(Severity::kError, "runtime-dir",
          "the runtime directory " + dir_ + " belongs to uid " + std::to_string(look.uid) +
              ", plugind runs as uid " + std::to_string(facts_.uid),
          "chown " + std::to_string(facts_.uid) + " " + dir_);
    }
    if ((look.mode & 022) != 0) {
      add(Severity::kError, "runtime-dir",
          "the runtime directory " + dir_ + " may be written to by others (mode " +
              octal(look.mode) + ")",
          "chmod go-w " + dir_);
    }
    if (!facts_.lost_sockets.empty()) {
      add(Severity::kError, "sockets",
          "sockets of plugind are gone, and hosts cannot connect to them: " +
              join(facts_.lost_sockets),
          "restart plugind, and keep what cleans up old files from " + dir_);
    }
  }

  void room() {
    const platform::DirectoryLook& look = facts_.runtime;
    if (!look.is_directory) return;
    const std::string where = "the file system of the runtime directory " + dir_;
    if (look.free_bytes < kLittleRoom) {
      add(look.free_bytes < kNoRoom ? Severity::kError : Severity::kWarning, "disk",
          where + " has " + std::to_string(look.free_bytes >> 10) + " KiB left",
          "make room there, or give plugind another --runtime-dir");
    }
    if (look.free_files < kFewFiles) {
      add(Severity::kError, "disk",
          where + " has room for " + std::to_string(look.free_files) + " more files (inodes)",
          "remove files there, or give plugind another --runtime-dir");
    }
  }

  void descriptors() {
    const std::uint64_t most = facts_.max_descriptors;
    const std::string limit =
        "the limit on open files (LimitNOFILE=, ulimit -n), which is " + std::to_string(most);
    const std::uint64_t left = most - std::min(facts_.descriptors, most);
    if (facts_.descriptors > 0 && left < std::max(most / 10, kFewDescriptors)) {
      add(left < kFewDescriptors ? Severity::kError : Severity::kWarning, "descriptors",
          "plugind has " + std::to_string(facts_.descriptors) + " open files of " +
              std::to_string(most),
          "raise " + limit);
    }
    if (facts_.connections < facts_.wanted_connections) {
      add(Severity::kWarning, "descriptors",
          "plugind takes " + std::to_string(facts_.connections) + " connections rather than the " +
              std::to_string(facts_.wanted_connections) + " of --max-connections",
          "raise " + limit);
    }
  }

  void manifests() {
    if (!facts_.manifest_mistakes.empty()) {
      add(Severity::kError, "manifests",
          "the manifests on disk have mistakes, so that plugind would not start with them and "
          "does not take them at a reload: " +
              facts_.manifest_mistakes,
          "mend them, then run `pluginctl reload`");
    }
    if (!facts_.changed.empty()) {
      add(Severity::kNote, "manifests",
          "the manifests on disk are not those that plugind uses; a reload touches " +
              join(facts_.changed),
          "`pluginctl reload`");
    }
  }

  void memory() {
    if (facts_.memory >= kLittleMemory) return;
    add(Severity::kWarning, "memory",
        "the machine has " + std::to_string(facts_.memory / kMiB) + " MiB of memory left",
        "end something, or give plugins `limits.memory`");
  }

  void control_groups() {
    if (facts_.control_groups) return;
    add(Severity::kNote, "control-groups", facts_.trees,
        "where limits matter, run plugind where it may use control groups (Delegate=yes of a "
        "systemd unit)");
  }

  const SelfFacts& facts_;
  const std::string dir_;
  std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> judge(const SelfFacts& facts) { return Judge(facts).findings(); }

std::optional<Finding> look_at_socket(const std::string& plugin, const std::string& address) {
  const std::string path = address.substr(address.starts_with("unix:") ? 5 : 0);
  std::optional<Finding> finding;
  if (const auto fits = platform::check_socket_path(path); !fits) {
    finding = plugin::finding_of("socket-path", fits.error(), Severity::kWarning);
    finding->what =
        "it has no socket of its own, and is reached on the daemon's only: " + finding->what;
  } else if (!platform::is_socket(path)) {
    finding = Finding{Severity::kError, "sockets", "",
                      "its own socket " + path + " is not there, and hosts cannot connect to it",
                      "see event=plugin-socket-failed in the log of plugind; restart it, and keep "
                      "what cleans up old files from its directory"};
  }
  if (finding) finding->plugin = plugin;
  return finding;
}

std::vector<std::string> changed_manifests(const std::vector<plugin::Manifest>& on_disk,
                                           const std::vector<plugin::PluginStatus>& registered) {
  std::map<std::string, const plugin::Manifest*> known;
  for (const plugin::PluginStatus& status : registered) {
    known[status.manifest.name] = &status.manifest;
  }
  std::vector<std::string> changed;
  for (const plugin::Manifest& manifest : on_disk) {
    const auto found = known.find(manifest.name);
    if (found == known.end()) {
      changed.push_back(manifest.name);
      continue;
    }
    if (*found->second != manifest) changed.push_back(manifest.name);
    known.erase(found);
  }
  for (const auto& [name, manifest] : known) changed.push_back(name);
  std::ranges::sort(changed);
  return changed;
}

}  // namespace plugind::app
