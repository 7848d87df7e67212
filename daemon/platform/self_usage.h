// What the daemon itself uses.
#pragma once

#include <cstdint>

namespace plugind::platform {

/// Resident memory of this process in bytes; 0 where the platform does not tell.
std::uint64_t resident_bytes();

}  // namespace plugind::platform
