#include "daemon/platform/linux/memory_kills.h"

#include <charconv>
#include <csignal>
#include <string>
#include <string_view>

#include "daemon/platform/linux/proc_fs.h"

namespace plugind::platform {
namespace {

/// The number of the line "key NUMBER".
std::optional<std::uint64_t> number_of(const std::string& text, std::string_view key) {
  const std::string start = "\n" + std::string(key) + " ";
  const auto at = ("\n" + text).find(start);
  if (at == text.npos) return std::nullopt;
  std::uint64_t number = 0;
  const char* const begin = text.data() + at + start.size() - 1;
  const auto parsed = std::from_chars(begin, text.data() + text.size(), number);
  return parsed.ec == std::errc() ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<MemoryEvents> memory_events_of(const std::filesystem::path& group) {
  const std::string text = read_small_file(group / "memory.events");
  const auto kills = number_of(text, "oom_kill");
  if (!kills) return std::nullopt;
  return MemoryEvents{.over_limit = number_of(text, "oom").value_or(0), .kills = *kills};
}

std::optional<std::uint64_t> memory_kills_of_machine() {
  return number_of(read_small_file("/proc/vmstat"), "oom_kill");
}

MemoryKill judge(const ExitStatus& status, const std::optional<MemoryEvents>& group,
                 std::uint64_t machine) {
  if (!group) {
    return status.signal == SIGKILL && machine > 0 ? MemoryKill::kLikely : MemoryKill::kNone;
  }
  // A shell tells so that its child was killed.
  constexpr int kKilledChild = 128 + SIGKILL;
  const bool killed = status.signal == SIGKILL || status.code == kKilledChild;
  if (!killed || group->kills == 0) return MemoryKill::kNone;
  // Who is over the limit of the tree is killed with all of it (memory.oom.group).  Else it may
  // have been another process of the tree, long ago.
  return group->over_limit > 0 ? MemoryKill::kOverLimit : MemoryKill::kLikely;
}

}  // namespace plugind::platform
