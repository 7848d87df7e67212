#include "daemon/platform/linux/tree_use.h"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/platform/linux/proc_fs.h"

namespace plugind::platform {
namespace {

/// The number that `text` starts with.
std::optional<std::uint64_t> leading_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  return parsed.ec == std::errc() ? std::optional(number) : std::nullopt;
}

std::optional<std::chrono::microseconds> group_cpu_time(const std::filesystem::path& group) {
  constexpr std::string_view kKey = "usage_usec ";
  const std::string text = read_small_file(group / "cpu.stat");
  const auto at = text.find(kKey);
  if (at == text.npos) return std::nullopt;
  const auto time = leading_number(std::string_view(text).substr(at + kKey.size()));
  return time ? std::optional(std::chrono::microseconds(*time)) : std::nullopt;
}

}  // namespace

std::optional<CurrentUse> tree_use(const std::filesystem::path& group,
                                   std::span<const pid_t> pids) {
  CurrentUse use;
  bool known = false;
  for (const pid_t pid : pids) {
    const auto one = process_use(pid);
    if (!one) continue;
    known = true;
    use.cpu_time += one->cpu_time;
    use.memory += one->resident;
  }
  if (!group.empty()) {
    if (const auto time = group_cpu_time(group)) {
      known = true;
      use.cpu_time = *time;
    }
    if (const auto memory = leading_number(read_small_file(group / "memory.current"))) {
      known = true;
      use.memory = *memory;
    }
  }
  return known ? std::optional(use) : std::nullopt;
}

}  // namespace plugind::platform
