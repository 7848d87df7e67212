// The daemon's own log: stderr, one line an event, key=value fields.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace plugind::app {

using Field = std::pair<std::string_view, std::string>;

/// `level` is one of debug, info, warning, error.
void set_up_logging(const std::string& level);

/// event=EVENT key=value …; values with spaces, quotes or control characters are quoted and
/// escaped.
void log_debug(std::string_view event, std::initializer_list<Field> fields = {});
void log_info(std::string_view event, std::initializer_list<Field> fields = {});
void log_warning(std::string_view event, std::initializer_list<Field> fields = {});
void log_error(std::string_view event, std::initializer_list<Field> fields = {});

/// One line of the form above, without time and level.
std::string format_event(std::string_view event, std::initializer_list<Field> fields);

}  // namespace plugind::app
