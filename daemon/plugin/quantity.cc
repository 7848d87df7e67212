// Durations and sizes, which always carry their unit.
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "daemon/plugin/manifest.h"

namespace plugind::plugin {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 4> kDurationUnits{
    {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}}};
constexpr std::array<Unit, 4> kSizeUnits{
    {{"B", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}}};

Error wrong(std::string_view text, std::string_view what) {
  return make_error(Reason::kManifestInvalid, "\"" + std::string(text) + "\" " + std::string(what));
}

std::expected<std::uint64_t, Error> parse(std::string_view text, std::span<const Unit> units,
                                          std::uint64_t limit, std::string_view noun,
                                          std::string_view examples) {
  const std::string hint = "; write it like " + std::string(examples);
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem == std::errc::result_out_of_range) {
    return std::unexpected(wrong(text, "is too large"));
  }
  if (problem != std::errc{}) {
    return std::unexpected(wrong(text, "is not a " + std::string(noun) + hint));
  }
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  if (suffix.empty()) return std::unexpected(wrong(text, "has no unit" + hint));
  for (const Unit& unit : units) {
    if (unit.name != suffix) continue;
    if (number > limit / unit.factor) return std::unexpected(wrong(text, "is too large"));
    return number * unit.factor;
  }
  return std::unexpected(wrong(text, "is not a " + std::string(noun) + ": the unit \"" +
                                         std::string(suffix) + "\" is unknown" + hint));
}

}  // namespace

std::expected<std::chrono::milliseconds, Error> parse_duration(std::string_view text) {
  constexpr auto kLimit =
      static_cast<std::uint64_t>(std::numeric_limits<std::chrono::milliseconds::rep>::max());
  const auto number =
      parse(text, kDurationUnits, kLimit, "duration", "\"500ms\", \"5s\", \"2m\" or \"1h\"");
  if (!number) return std::unexpected(number.error());
  return std::chrono::milliseconds(static_cast<std::chrono::milliseconds::rep>(*number));
}

std::expected<std::uint64_t, Error> parse_size(std::string_view text) {
  return parse(text, kSizeUnits, std::numeric_limits<std::uint64_t>::max(), "size",
               "\"512B\", \"64KiB\", \"512MiB\" or \"2GiB\"");
}

}  // namespace plugind::plugin
