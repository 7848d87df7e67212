// A line of output as it stands in a file.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/plugin/output_log.h"

namespace plugind::app {

/// Appends "2026-01-31T23:59:59.123Z kv#1 stderr warn  TEXT\n", the time in UTC, the level five
/// columns wide: "-" where there is none and "|" in lines that continue a trace.  Control
/// characters are written as \xNN, so that a terminal does nothing when it shows the file; other
/// bytes stay.
void append_line(std::string& out, const plugin::LogLine& line);

/// Appends a line in which the daemon says that `count` lines are missing there, and why.
void append_missing(std::string& out, std::chrono::system_clock::time_point now,
                    std::uint64_t count, std::string_view why);

}  // namespace plugind::app
