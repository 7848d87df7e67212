#include "daemon/app/logging.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <memory>

namespace plugind::app {

namespace {

bool is_plain(std::string_view value) {
  return !value.empty() && std::ranges::all_of(value, [](unsigned char c) {
    return c > ' ' && c != '"' && c != '\\' && c != '=' && c != 0x7f;
  });
}

void append_value(std::string& line, std::string_view value) {
  if (is_plain(value)) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    switch (c) {
      case '"':
        line += "\\\"";
        break;
      case '\\':
        line += "\\\\";
        break;
      case '\n':
        line += "\\n";
        break;
      case '\t':
        line += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          char escaped[8];
          std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned char>(c));
          line += escaped;
        } else {
          line += c;
        }
    }
  }
  line += '"';
}

void log(spdlog::level::level_enum level, std::string_view event,
         std::initializer_list<Field> fields) {
  if (!spdlog::should_log(level)) return;
  spdlog::default_logger_raw()->log(level, "{}", format_event(event, fields));
}

}  // namespace

void set_up_logging(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("plugind",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("time=%Y-%m-%dT%H:%M:%S.%e%z level=%l %v");
  logger->set_level(spdlog::level::from_str(level));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

std::string format_event(std::string_view event, std::initializer_list<Field> fields) {
  std::string line = "event=";
  append_value(line, event);
  for (const auto& [key, value] : fields) {
    line += ' ';
    line += key;
    line += '=';
    append_value(line, value);
  }
  return line;
}

void log_debug(std::string_view event, std::initializer_list<Field> fields) {
  log(spdlog::level::debug, event, fields);
}
void log_info(std::string_view event, std::initializer_list<Field> fields) {
  log(spdlog::level::info, event, fields);
}
void log_warning(std::string_view event, std::initializer_list<Field> fields) {
  log(spdlog::level::warn, event, fields);
}
void log_error(std::string_view event, std::initializer_list<Field> fields) {
  log(spdlog::level::err, event, fields);
}

}  // namespace plugind::app
