#include "proto/wire/grpc_timeout.h"

#include <limits>

namespace plugind::wire {
namespace {

struct Unit {
  char letter;
  std::int64_t nanoseconds;
};

constexpr Unit kUnits[] = {
    {'n', 1},
    {'u', 1'000},
    {'m', 1'000'000},
    {'S', 1'000'000'000},
    {'M', 60 * std::int64_t{1'000'000'000}},
    {'H', 3600 * std::int64_t{1'000'000'000}},
};
constexpr std::size_t kMaxDigits = 8;
constexpr std::int64_t kMaxValue = 99'999'999;

}  // namespace

std::optional<std::int64_t> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kMaxDigits + 1) return std::nullopt;
  std::int64_t value = 0;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  for (const Unit& unit : kUnits) {
    if (unit.letter != text.back()) continue;
    constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
    return value > kMax / unit.nanoseconds ? kMax : value * unit.nanoseconds;
  }
  return std::nullopt;
}

GrpcTimeoutText format_grpc_timeout(std::int64_t nanoseconds) {
  if (nanoseconds < 0) nanoseconds = 0;
  // An int64 of nanoseconds is under 2.6 million hours, so the last unit always fits.
  const Unit* unit = kUnits;
  std::int64_t value = nanoseconds;
  while (value > kMaxValue) {
    ++unit;
    value = nanoseconds / unit->nanoseconds + (nanoseconds % unit->nanoseconds != 0 ? 1 : 0);
  }
  char reversed[kMaxDigits];
  std::size_t digits = 0;
  do {
    reversed[digits++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  GrpcTimeoutText result{};
  for (std::size_t i = 0; i < digits; ++i) result.text[i] = reversed[digits - 1 - i];
  result.text[digits] = unit->letter;
  result.size = static_cast<std::uint8_t>(digits + 1);
  return result;
}

}  // namespace plugind::wire
