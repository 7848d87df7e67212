// How long a call may take.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "daemon/plugin/manifest.h"

namespace plugind::forward {

struct CallTimeout {
  std::chrono::nanoseconds length;
  std::string_view setting;  ///< The manifest's key that gave it; "" if its caller did.
};

/// `asked`: what the caller's grpc-timeout says.  The setting holds when the caller asks for more
/// than it allows, or for nothing.  nullopt: as long as the call wants.
inline std::optional<CallTimeout> call_timeout(std::optional<std::chrono::nanoseconds> asked,
                                               std::chrono::milliseconds usual,
                                               std::chrono::milliseconds most) {
  // Longer than a year is no deadline; adding it to a time point could overflow.
  constexpr std::chrono::nanoseconds kYear = std::chrono::hours(24 * 365);
  std::optional<CallTimeout> result;
  if (asked) {
    if (*asked < kYear) result = {*asked, ""};
  } else if (usual.count() > 0) {
    result = {usual, "calls.timeout"};
  }
  if (most.count() > 0 && (!result || result->length > most)) {
    result = {most, "calls.timeout_max"};
  }
  return result;
}

}  // namespace plugind::forward
