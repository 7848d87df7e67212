#include "daemon/platform/linux/memory_kills.h"

#include <charconv>
#include <string>
#include <string_view>

#include "daemon/platform/linux/proc_fs.h"

namespace plugind::platform {
namespace {

/// The number of the line "oom_kill NUMBER".
std::optional<std::uint64_t> oom_kill_of(const std::filesystem::path& file) {
  constexpr std::string_view kKey = "\noom_kill ";
  const std::string text = "\n" + read_small_file(file);
  const auto at = text.find(kKey);
  if (at == text.npos) return std::nullopt;
  std::uint64_t number = 0;
  const char* const begin = text.data() + at + kKey.size();
  const auto parsed = std::from_chars(begin, text.data() + text.size(), number);
  return parsed.ec == std::errc() ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> memory_kills_in(const std::filesystem::path& group) {
  return oom_kill_of(group / "memory.events");
}

std::optional<std::uint64_t> memory_kills_of_machine() { return oom_kill_of("/proc/vmstat"); }

}  // namespace plugind::platform
