#include "daemon/plugin/toml_text.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include "daemon/plugin/printable.h"

namespace plugind::plugin {
namespace {

struct ParserGaveUp : std::runtime_error {
  ParserGaveUp() : std::runtime_error("toml++ gave up") {}
};

// toml++ takes a key such as a.a.a… of any length apart recursively, so that a long one overflows
// the stack.  No key of ours has more than two dots.  Dots in a row are in no key, but may well be
// in a comment.
std::optional<Mistake> too_many_dots(std::string_view text) {
  constexpr int kMaxDots = 32;
  Mistake at{1, 0, "a key has more than 32 dots"};
  int dots = 0;
  char last = '\n';
  for (char c : text) {
    ++at.column;
    if (c == '.') {
      dots = last == '.' ? 0 : dots + 1;
      if (dots > kMaxDots) return at;
    } else if (c == '\n') {
      ++at.line;
      at.column = 0;
      dots = 0;
    } else if (c == '=' || c == ',' || c == '{' || c == '[') {
      dots = 0;
    }
    last = c;
  }
  return std::nullopt;
}

bool parser_gives_up(std::string_view text) {
  try {
    (void)toml::parse(text);
  } catch (const ParserGaveUp&) {
    return true;
  } catch (const toml::parse_error&) {
  }
  return false;
}

// The parser reads from front to back: it gives up on every beginning of `text` that includes the
// place, and on none that ends before it.
Mistake place_of_giving_up(std::string_view text) {
  std::size_t good = 0, bad = text.size();
  while (bad - good > 1) {
    const std::size_t middle = good + (bad - good) / 2;
    (parser_gives_up(text.substr(0, middle)) ? bad : good) = middle;
  }
  const std::string_view before = text.substr(0, good);
  const std::size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0.
  return {static_cast<std::uint32_t>(std::ranges::count(before, '\n') + 1),
          static_cast<std::uint32_t>(good - line_start + 1), "this is not TOML"};
}

}  // namespace

namespace toml_guard {
void give_up() { throw ParserGaveUp(); }
}  // namespace toml_guard

std::expected<toml::table, Mistake> parse_toml(std::string_view text) {
  if (auto mistake = too_many_dots(text)) return std::unexpected(std::move(*mistake));
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    const toml::source_position at = error.source().begin;
    return std::unexpected(Mistake{at.line, at.column, printable(error.description(), 400)});
  } catch (const ParserGaveUp&) {
    return std::unexpected(place_of_giving_up(text));
  }
}

}  // namespace plugind::plugin
