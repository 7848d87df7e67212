// How many loops forward calls: what --workers says.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace plugind::app {

/// Half of the processors, as hosts and plugins need the others; at least one, and no more than
/// eight.  `processors` is 0 where the system does not tell how many there are.
std::size_t usual_workers(std::size_t processors);

/// "auto", which is usual_workers(), or "1" to "64"; nothing for any other text.
std::optional<std::size_t> parse_workers(std::string_view text, std::size_t processors);

}  // namespace plugind::app
