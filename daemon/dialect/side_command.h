// A command that is run for a plugin, beside it: as the plugin would run, without its limits,
// within a time, to see how it ends and what it prints.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/dialect.h"

namespace plugind::dialect {

struct SideCommand {
  std::string executable;  ///< Absolute path.
  std::vector<std::string> arguments;
  std::string purpose;  ///< [a-z]+: ends the name of its process tree, "kv#3.PURPOSE".
  std::chrono::milliseconds timeout{10'000};
};

struct SideResult {
  std::optional<plugin::ExitStatus> status;  ///< Absent: it had not ended when its time was over.
  std::string out, err;                      ///< The first 16 KiB of each.
};

/// Runs `command` as `like` is run: user, environment, directory; another user's in / unless the
/// manifest names a directory.  Nothing is left of it afterwards.  Error: it could not be started.
boost::asio::awaitable<std::expected<SideResult, Error>> run_beside(
    const plugin::StartContext& context, const plugin::ProcessSpec& like, SideCommand command);

}  // namespace plugind::dialect
