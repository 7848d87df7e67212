// Binding a Unix socket, the part that all listening sockets share.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "daemon/error.h"
#include "daemon/platform/posix/unique_fd.h"

struct sockaddr_un;

namespace plugind::platform {

/// Error: SocketPathTooLong, naming length and limit.
std::expected<sockaddr_un, Error> unix_address(const std::string& path);

/// Binds, sets the file's group and mode, then listens; nobody can connect before they are set. The
/// socket is close-on-exec and blocking.  Nothing may be at `path`.  On failure nothing is left
/// there.
std::expected<UniqueFd, Error> bind_and_listen(const std::string& path, std::uint32_t mode,
                                               int backlog,
                                               std::optional<std::uint32_t> group = {});

}  // namespace plugind::platform
