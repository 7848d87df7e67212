// What the daemon itself is and uses.
#pragma once

#include <cstdint>

namespace plugind::platform {

/// The identifier of this process.
std::int32_t own_pid();

/// Resident memory of this process in bytes; 0 where the platform does not tell.
std::uint64_t resident_bytes();

/// How many descriptors (files, sockets) this process may have open.
std::uint64_t max_descriptors();

}  // namespace plugind::platform
