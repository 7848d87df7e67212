#include "daemon/plugin/log_level.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace plugind::plugin {
namespace {

// A level stands in front, behind a time and a name or two.
constexpr std::size_t kTextPrefix = 160;
constexpr int kMostWords = 16;

bool digit(char c) { return c >= '0' && c <= '9'; }
bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool letter(char c) { return upper(c) || (c >= 'a' && c <= 'z'); }
bool blank(char c) { return c == ' ' || c == '\t'; }
char lower(char c) { return upper(c) ? static_cast<char>(c - 'A' + 'a') : c; }

// clang-format off
constexpr std::array<std::pair<std::string_view, LogLevel>, 30> kWords{{
    {"error", LogLevel::kError},   {"info", LogLevel::kInfo},      {"warn", LogLevel::kWarn},
    {"warning", LogLevel::kWarn},  {"debug", LogLevel::kDebug},    {"trace", LogLevel::kTrace},
    {"fatal", LogLevel::kFatal},   {"critical", LogLevel::kFatal}, {"notice", LogLevel::kInfo},
    {"err", LogLevel::kError},     {"inf", LogLevel::kInfo},       {"wrn", LogLevel::kWarn},
    {"dbg", LogLevel::kDebug},     {"trc", LogLevel::kTrace},      {"ftl", LogLevel::kFatal},
    {"dbug", LogLevel::kDebug},    {"trce", LogLevel::kTrace},     {"fail", LogLevel::kError},
    {"crit", LogLevel::kFatal},    {"severe", LogLevel::kError},   {"panic", LogLevel::kFatal},
    {"dpanic", LogLevel::kFatal},  {"alert", LogLevel::kFatal},    {"emerg", LogLevel::kFatal},
    {"emergency", LogLevel::kFatal}, {"verbose", LogLevel::kTrace}, {"information", LogLevel::kInfo},
    {"informational", LogLevel::kInfo}, {"eror", LogLevel::kError}, {"verb", LogLevel::kTrace},
}};
constexpr std::array<std::string_view, 9> kJsonKeys{
    "@level", "level", "severity", "lvl", "levelname", "log.level", "loglevel", "SeverityText", "@l"};
constexpr std::array<std::string_view, 23> kTimeWords{
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun", "AM",  "PM",  "UTC", "GMT"};
// clang-format on
constexpr std::size_t kLongestWord = 13;

LogLevel level_of_word(std::string_view word) {
  if (word.size() < 3 || word.size() > kLongestWord || !letter(word[0])) return LogLevel::kNone;
  std::array<char, kLongestWord> folded;
  std::ranges::transform(word, folded.begin(), lower);
  const std::string_view small(folded.data(), word.size());
  const auto found = std::ranges::find(kWords, small, &decltype(kWords)::value_type::first);
  return found == kWords.end() ? LogLevel::kNone : found->second;
}

/// The last three bits of a syslog priority.
LogLevel level_of_priority(unsigned priority) {
  constexpr std::array<LogLevel, 8> kLevels{LogLevel::kFatal, LogLevel::kFatal, LogLevel::kFatal,
                                            LogLevel::kError, LogLevel::kWarn,  LogLevel::kInfo,
                                            LogLevel::kInfo,  LogLevel::kDebug};
  return kLevels[priority & 7];
}

/// 0 to 7 are syslog's, as in GELF; 10 to 60 are those of pino and bunyan.
LogLevel level_of_number(unsigned number) {
  if (number < 8) return level_of_priority(number);
  if (number < 10 || number > 60) return LogLevel::kNone;
  return static_cast<LogLevel>(number / 10);
}

std::optional<unsigned> leading_number(std::string_view text) {
  unsigned number = 0;
  std::size_t digits = 0;
  for (; digits < text.size() && digits < 4 && digit(text[digits]); ++digits) {
    number = number * 10 + static_cast<unsigned>(text[digits] - '0');
  }
  if (digits == 0 || digits == 4) return std::nullopt;
  return number;
}

/// The characters of the JSON string that begins at `at`, without its quotes and as they stand;
/// `at` is behind it then.  Nothing if it has no end here.
std::optional<std::string_view> json_string(std::string_view text, std::size_t& at) {
  const std::size_t begin = at + 1;
  for (std::size_t i = begin; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      at = i + 1;
      return text.substr(begin, i - begin);
    }
  }
  return std::nullopt;
}

void skip_blanks(std::string_view text, std::size_t& at) {
  while (at < text.size() && blank(text[at])) ++at;
}

LogLevel level_of_json(std::string_view text) {
  int depth = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) break;
    if (c != '"') {
      ++at;
      continue;
    }
    const auto key = json_string(text, at);
    if (!key) break;
    skip_blanks(text, at);
    if (depth != 1 || at == text.size() || text[at] != ':') continue;
    if (std::ranges::find(kJsonKeys, *key) == kJsonKeys.end()) continue;
    ++at;
    skip_blanks(text, at);
    if (at == text.size()) break;
    LogLevel level = LogLevel::kNone;
    if (text[at] == '"') {
      const auto value = json_string(text, at);
      if (!value) break;
      level = level_of_word(*value);
    } else if (const auto number = leading_number(text.substr(at))) {
      level = level_of_number(*number);
    }
    if (level != LogLevel::kNone) return level;
  }
  return LogLevel::kNone;
}

/// "time=… level=error msg=…"
LogLevel level_of_pairs(std::string_view line) {
  for (const std::string_view key : {"level=", "lvl=", "severity="}) {
    for (std::size_t at = line.find(key); at != line.npos; at = line.find(key, at + 1)) {
      if (at > 0 && !blank(line[at - 1])) continue;
      std::string_view value = line.substr(at + key.size());
      if (value.starts_with('"')) value.remove_prefix(1);
      const auto end = std::ranges::find_if_not(value, letter);
      return level_of_word({value.begin(), end});
    }
  }
  return LogLevel::kNone;
}

/// "E0102 15:04:05", and with the year "E20260102 15:04:05".
LogLevel level_of_glog(std::string_view line) {
  std::size_t at = 1;
  while (at < line.size() && digit(line[at])) ++at;
  if (at != 5 && at != 9) return LogLevel::kNone;
  const std::string_view time = line.substr(at, 4);
  if (time.size() < 4 || time[0] != ' ' || !digit(time[1]) || !digit(time[2]) || time[3] != ':') {
    return LogLevel::kNone;
  }
  switch (line[0]) {
    case 'I':
      return LogLevel::kInfo;
    case 'W':
      return LogLevel::kWarn;
    case 'E':
      return LogLevel::kError;
    case 'F':
      return LogLevel::kFatal;
    default:
      return LogLevel::kNone;
  }
}

/// Part of a date, a time or a number, or only there to look good.
bool says_nothing(std::string_view word) {
  const bool part_of_time = std::ranges::all_of(word, [](char c) {
    return digit(c) || (!letter(c) && c > ' ' && c < 0x7f && c != '=' && c != '"') || c == 'T' ||
           c == 'Z';
  });
  return part_of_time || std::ranges::find(kTimeWords, word) != kTimeWords.end();
}

LogLevel level_of_letter(char c) {
  switch (c) {
    case 'D':
      return LogLevel::kDebug;
    case 'I':
      return LogLevel::kInfo;
    case 'W':
      return LogLevel::kWarn;
    case 'E':
      return LogLevel::kError;
    case 'F':
      return LogLevel::kFatal;
    default:
      return LogLevel::kNone;
  }
}

/// " - " and " | " stand between the fields of some formats.
bool separator(std::string_view text) {
  return text.size() >= 3 && text[0] == ' ' && (text[1] == '-' || text[1] == '|') && text[2] == ' ';
}

/// A level among the first words, before the first one that is neither time nor name.
LogLevel level_of_words(std::string_view line) {
  bool bracketed = false;
  std::size_t at = 0;
  for (int count = 0; count < kMostWords && at < line.size();) {
    const char c = line[at];
    if (blank(c) || c == ':' || c == '[' || c == ']') {
      if (c == '[') bracketed = true;
      if (c == ']') bracketed = false;
      ++at;
      continue;
    }
    const std::size_t begin = at;
    while (at < line.size() && !blank(line[at]) && line[at] != ':' && line[at] != '[' &&
           line[at] != ']') {
      ++at;
    }
    ++count;
    const std::string_view word = line.substr(begin, at - begin);
    const char next = at < line.size() ? line[at] : ' ';
    // What stands alone is a word of a sentence unless it is in capitals.
    if (bracketed || next == ':' || next == '\t' || std::ranges::all_of(word, upper)) {
      if (const LogLevel level = level_of_word(word); level != LogLevel::kNone) return level;
      if (bracketed && word.size() == 1) {
        if (const LogLevel level = level_of_letter(word[0]); level != LogLevel::kNone) return level;
      }
    }
    if (bracketed || says_nothing(word)) continue;
    const bool name = begin >= 3 && separator(line.substr(begin - 3)) && separator(line.substr(at));
    if (!name) return LogLevel::kNone;
  }
  return LogLevel::kNone;
}

}  // namespace

std::string_view to_string(LogLevel level) {
  constexpr std::array<std::string_view, 7> kNames{"",     "trace", "debug", "info",
                                                   "warn", "error", "fatal"};
  return kNames[static_cast<std::size_t>(level)];
}

LogLevel level_of(std::string_view line) {
  line = line.substr(0, kLevelPrefix);
  std::size_t at = 0;
  skip_blanks(line, at);
  line.remove_prefix(at);
  if (line.empty()) return LogLevel::kNone;
  if (line[0] == '{') return level_of_json(line);
  if (line[0] == '<') {
    const auto priority = leading_number(line.substr(1));
    const std::size_t end = line.find('>');
    if (priority && *priority < 192 && end <= 4) return level_of_priority(*priority);
  }
  if (const LogLevel level = level_of_glog(line); level != LogLevel::kNone) return level;
  if (letter(line[0])) {
    const auto end = std::ranges::find_if(line, [](char c) { return blank(c) || c == '='; });
    if (end != line.end() && *end == '=') return level_of_pairs(line);
  }
  return level_of_words(line.substr(0, kTextPrefix));
}

}  // namespace plugind::plugin
