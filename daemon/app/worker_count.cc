#include "daemon/app/worker_count.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace plugind::app {

namespace {
constexpr std::size_t kMostWorkers = 64;
constexpr std::size_t kMostUsualWorkers = 8;
}  // namespace

std::size_t usual_workers(std::size_t processors) {
  return std::clamp<std::size_t>(processors / 2, 1, kMostUsualWorkers);
}

std::optional<std::size_t> parse_workers(std::string_view text, std::size_t processors) {
  if (text == "auto") return usual_workers(processors);
  std::size_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (number < 1 || number > kMostWorkers) return std::nullopt;
  return number;
}

}  // namespace plugind::app
