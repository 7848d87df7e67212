// Which known word a misspelt one was meant to be.
#include <algorithm>
#include <numeric>

#include "daemon/plugin/manifest_parser.h"

namespace plugind::plugin {
namespace {

// Levenshtein distance; a swap of neighbours counts as two.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::string_view nearest(std::string_view text, const std::vector<std::string_view>& candidates) {
  constexpr std::size_t kLongest = 64;  // No key is longer; bounds the work.
  if (text.size() > kLongest) return "";
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, text.size() / 3) + 1;
  for (std::string_view candidate : candidates) {
    // "timeout" for "start.timeout" is a likely mistake, too.
    const std::size_t dot = candidate.rfind('.');
    const bool tail = dot != candidate.npos && candidate.substr(dot + 1) == text;
    const std::size_t distance = tail ? 1 : edit_distance(text, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace plugind::plugin
