#include "daemon/app/check.h"

#include <expected>
#include <filesystem>
#include <utility>

#include "daemon/error.h"
#include "daemon/forward/address.h"
#include "daemon/platform/accounts.h"
#include "daemon/platform/local_socket.h"
#include "daemon/platform/rotated_file.h"
#include "daemon/platform/runtime_dir.h"
#include "daemon/platform/surroundings.h"
#include "daemon/plugin/manifest.h"

namespace plugind::app {

namespace {

std::expected<void, Error> check_runtime_dir(const std::filesystem::path& path,
                                             platform::Reach reach) {
  auto looked = platform::RuntimeDir::check(path, reach);
  const auto directory = platform::look_at_directory(path.string());
  if (looked || !directory.is_directory || directory.uid == platform::own_user_id()) return looked;
  // A chown would take it from a daemon that runs.
  Error error = std::move(looked.error());
  error.message += "; or check as uid " + std::to_string(directory.uid) +
                   ", if that is the user that plugind is to run as";
  return std::unexpected(std::move(error));
}

}  // namespace

std::vector<std::string> check(const Options& options) {
  std::vector<std::string> mistakes = options.mistakes;
  const auto look = [&](const auto& outcome) {
    if (!outcome) mistakes.push_back(outcome.error().message);
  };
  look(plugin::load_manifests(options.manifests, account_lookup()));
  if (!options.socket.empty()) {
    const std::filesystem::path socket = forward::parse_address(options.socket)->path;
    // A start makes the runtime directory, and no other one.
    look(platform::LocalSocket::check(socket, socket.parent_path() == options.runtime_dir));
  }
  if (!options.runtime_dir.empty()) {
    look(check_runtime_dir(options.runtime_dir, reach_of(options.hosts)));
  }
  if (!options.log_dir.empty()) look(platform::check_log_dir(options.log_dir));
  return mistakes;
}

}  // namespace plugind::app
