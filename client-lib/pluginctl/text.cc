#include "client-lib/pluginctl/text.h"

#include <google/protobuf/util/time_util.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <utility>

namespace plugind::pluginctl {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};
constexpr std::array kUnits{Unit{"ms", 1}, Unit{"s", 1'000}, Unit{"m", 60'000},
                            Unit{"h", 3'600'000}};

}  // namespace

std::string duration_text(const google::protobuf::Duration& duration) {
  const std::int64_t total = duration.seconds() * 1'000 + duration.nanos() / 1'000'000;
  const Unit* best = &kUnits[0];
  for (const Unit& unit : kUnits) {
    if (total != 0 && total % unit.milliseconds == 0) best = &unit;
  }
  return std::to_string(total / best->milliseconds) + std::string(best->name);
}

std::string age_text(const google::protobuf::Timestamp& since,
                     std::chrono::system_clock::time_point now) {
  const std::int64_t then = since.seconds();
  if (then == 0) return "-";
  const std::int64_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count() - then;
  if (seconds < 0) return "0s";
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (seconds < 120 * 60) return std::to_string(seconds / 60) + "m";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

std::string time_text(const google::protobuf::Timestamp& time) {
  const std::time_t seconds = time.seconds();
  const std::tm* local = std::localtime(&seconds);
  std::array<char, 32> text{};
  if (seconds == 0 || local == nullptr) return "-";
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", local);
  return {text.data(), size};
}

std::string exact_time_text(const google::protobuf::Timestamp& time) {
  std::array<char, 8> fraction{};
  std::snprintf(fraction.data(), fraction.size(), ".%03d", time.nanos() / 1'000'000 % 1'000);
  return time_text(time) + fraction.data();
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  const bool whole = value == static_cast<double>(static_cast<std::uint64_t>(value));
  std::snprintf(text.data(), text.size(), "%.*f %s", whole ? 0 : 1, value, kNames[unit]);
  return text.data();
}

std::string enum_text(std::string_view name, std::string_view prefix) {
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  std::string text(name);
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c == '_') c = '-';
  }
  return text;
}

std::string printable(std::string_view text, Lines lines) {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // C1 controls are U+0080 to U+009F: C2 80 to C2 9F.
    const bool c1 = byte == 0xC2 && i + 1 < text.size() &&
                    (static_cast<unsigned char>(text[i + 1]) & 0xE0) == 0x80;
    if (byte == '\n') {
      result += lines == Lines::kKeep ? "\n" : " | ";
    } else if ((byte < 0x20 && byte != '\t') || byte == 0x7F || c1) {
      std::array<char, 8> escape{};
      std::snprintf(escape.data(), escape.size(), "\\x%02x",
                    c1 ? static_cast<unsigned char>(text[++i]) : byte);
      result += escape.data();
    } else {
      result += text[i];
    }
  }
  return result;
}

std::expected<std::chrono::milliseconds, std::string> parse_duration(std::string_view text) {
  std::int64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(rest, static_cast<std::size_t>(text.data() + text.size() - rest));
  for (const Unit& known : kUnits) {
    if (error == std::errc() && unit == known.name && number > 0 && number < 1'000'000'000) {
      return std::chrono::milliseconds(number * known.milliseconds);
    }
  }
  return std::unexpected("'" + std::string(text) +
                         "' is not a duration; write a number and ms, s, m or h, such as 500ms");
}

std::expected<google::protobuf::Timestamp, std::string> parse_since(
    std::string_view text, std::chrono::system_clock::time_point now) {
  using google::protobuf::util::TimeUtil;
  if (const auto ago = parse_duration(text)) {
    const auto then = (now - *ago).time_since_epoch();
    return TimeUtil::MillisecondsToTimestamp(
        std::chrono::floor<std::chrono::milliseconds>(then).count());
  }
  google::protobuf::Timestamp time;
  if (TimeUtil::FromString(std::string(text), &time)) return time;
  return std::unexpected("'" + std::string(text) +
                         "' is no time; write how long ago it was, such as 10m, or a time with its "
                         "zone, such as 2026-01-31T23:59:59Z");
}

}  // namespace plugind::pluginctl
