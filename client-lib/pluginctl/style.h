// Colour, where it helps and is wanted.
#pragma once

#include <string>
#include <string_view>

#include "plugind/v1/plugin.pb.h"

namespace plugind::pluginctl {

enum class Colour { kNone, kGreen, kYellow, kRed, kDim, kBold };

/// Whether to colour: stdout is a terminal that is not "dumb", and NO_COLOR is not set.
bool colour_wanted();

/// `text` in `colour`; unchanged unless `enabled`.
std::string paint(std::string_view text, Colour colour, bool enabled);

Colour colour_of(v1::InstanceState state);
/// "ready", "backoff", ...
std::string state_text(v1::InstanceState state);

}  // namespace plugind::pluginctl
