// How serious a line of output says that it is.
#pragma once

#include <cstddef>
#include <string_view>

namespace plugind::plugin {

/// In order.  A line that says nothing has kNone and counts as kInfo where levels are compared.
enum class LogLevel { kNone, kTrace, kDebug, kInfo, kWarn, kError, kFatal };

/// "" for kNone, else "trace" to "fatal".
std::string_view to_string(LogLevel level);

/// Whether a line of `level` is to be seen by who wants `lowest` and up.
constexpr bool at_least(LogLevel level, LogLevel lowest) {
  return (level == LogLevel::kNone ? LogLevel::kInfo : level) >= lowest;
}

/// So much of the beginning of a line is looked at.
inline constexpr std::size_t kLevelPrefix = 1'024;

/// What the line says of itself, in one of the forms that are common: hclog's JSON and that of
/// other loggers, `[WARN]`, `ERROR:`, `WARN `, glog's `E0102 15:04:05`, `level=error`, sd-daemon's
/// `<3>`, all but the last also behind a time and names in brackets.  kNone for everything else.
/// Takes any bytes; `line` has no escape sequences any more.
LogLevel level_of(std::string_view line);

}  // namespace plugind::plugin
