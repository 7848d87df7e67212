#include "client-lib/pluginctl/style.h"

#include <cstdlib>

#include "client-lib/pluginctl/terminal.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {

bool colour_wanted() {
  const char* no_color = std::getenv("NO_COLOR");
  if (no_color != nullptr && *no_color != '\0') return false;
  const char* term = std::getenv("TERM");
  if (term == nullptr || std::string_view(term) == "dumb") return false;
  return stdout_is_terminal();
}

std::string paint(std::string_view text, Colour colour, bool enabled) {
  if (!enabled || colour == Colour::kNone) return std::string(text);
  const char* start = "";
  switch (colour) {
    case Colour::kNone:
      break;
    case Colour::kGreen:
      start = "\033[32m";
      break;
    case Colour::kYellow:
      start = "\033[33m";
      break;
    case Colour::kRed:
      start = "\033[31m";
      break;
    case Colour::kDim:
      start = "\033[2m";
      break;
    case Colour::kBold:
      start = "\033[1m";
      break;
  }
  return std::string(start).append(text).append("\033[0m");
}

Colour colour_of(v1::InstanceState state) {
  switch (state) {
    case v1::INSTANCE_STATE_READY:
      return Colour::kGreen;
    case v1::INSTANCE_STATE_STARTING:
    case v1::INSTANCE_STATE_DRAINING:
    case v1::INSTANCE_STATE_STOPPING:
    case v1::INSTANCE_STATE_BACKOFF:
      return Colour::kYellow;
    case v1::INSTANCE_STATE_FAILED:
      return Colour::kRed;
    case v1::INSTANCE_STATE_STOPPED:
      return Colour::kDim;
    default:
      return Colour::kNone;
  }
}

std::string state_text(v1::InstanceState state) {
  // A newer daemon may send a state that this program does not know.
  if (!v1::InstanceState_IsValid(state)) return "state " + std::to_string(state);
  return enum_text(v1::InstanceState_Name(state), "INSTANCE_STATE_");
}

}  // namespace plugind::pluginctl
