#include "daemon/app/output_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace plugind::app {
namespace {

constexpr std::size_t kLevelWidth = 5;

void append_time(std::string& out, std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  const auto whole = floor<milliseconds>(time);
  const auto day = floor<days>(whole);
  const year_month_day date(day);
  const hh_mm_ss<milliseconds> clock(whole - day);
  std::array<char, 40> text;
  const int size = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
      static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
      static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
      static_cast<int>(clock.subseconds().count()));
  out.append(text.data(), static_cast<std::size_t>(size));
}

void append_level(std::string& out, const plugin::LogLine& line) {
  std::string_view text = plugin::to_string(line.level);
  if (text.empty()) text = "-";
  if (line.continuation) text = "|";
  out += text;
  out.append(kLevelWidth - std::min(kLevelWidth, text.size()), ' ');
}

bool control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

void append_printable(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  while (!text.empty()) {
    const auto bad = std::ranges::find_if(text, control);
    const auto good = static_cast<std::size_t>(bad - text.begin());
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) return;
    const auto byte = static_cast<unsigned char>(text[0]);
    out += "\\x";
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
    text.remove_prefix(1);
  }
}

}  // namespace

void append_line(std::string& out, const plugin::LogLine& line) {
  append_time(out, line.time);
  out += ' ';
  out += line.instance;
  out += line.stream == plugin::OutputStream::kStdout ? " stdout " : " stderr ";
  append_level(out, line);
  out += ' ';
  append_printable(out, line.text);
  out += line.truncated ? " [cut off]\n" : "\n";
}

void append_missing(std::string& out, std::chrono::system_clock::time_point now,
                    std::uint64_t count, std::string_view why) {
  append_time(out, now);
  out += " plugind - warn  ";
  out += std::to_string(count);
  out += count == 1 ? " line is missing here: " : " lines are missing here: ";
  append_printable(out, why);
  out += '\n';
}

}  // namespace plugind::app
