#include "daemon/platform/linux/resource_limits.h"

#include <algorithm>

#include "daemon/platform/linux/cgroup_limits.h"

namespace plugind::platform {
namespace {

// The kernel's own default; systemd's CPUQuota= uses it, too.
constexpr std::uint64_t kCpuPeriodMicroseconds = 100'000;

/// Tries the control group first; the phrase says why it does not hold the limit.
std::expected<void, std::string> by_group(const std::filesystem::path& group, std::string_view file,
                                          const std::string& value) {
  if (group.empty()) return std::unexpected(std::string("it has no control group"));
  return set_group_limit(group, file, value);
}

/// Not above what the daemon itself may have, which only a privileged process could raise.
rlim_t at_most_ours(int resource, rlim_t value) {
  rlimit ours{};
  return ::getrlimit(resource, &ours) == 0 ? std::min(value, ours.rlim_max) : value;
}

class Planner {
 public:
  Planner(const ResourceLimits& limits, const std::filesystem::path& group, ProgramUser user)
      : limits_(limits), group_(group), user_(user) {}

  LimitPlan plan() {
    if (limits_.memory > 0) memory();
    if (limits_.cpu > 0) cpu();
    if (limits_.processes > 0) processes();
    if (limits_.open_files > 0) {
      process_limit("open_files", RLIMIT_NOFILE, limits_.open_files, "of each process");
    }
    return std::move(plan_);
  }

 private:
  void memory() {
    const auto held = by_group(group_, "memory.max", std::to_string(limits_.memory));
    if (held) {
      // A tree that has lost one of its processes to the limit is of no use; end it as a whole.
      (void)set_group_limit(group_, "memory.oom.group", "1");
      return hold("memory", LimitHolder::kControlGroup, "");
    }
    // RLIMIT_AS would count what is reserved and never used, of which Go and Java have gigabytes.
    process_limit("memory", RLIMIT_DATA, at_most_ours(RLIMIT_DATA, limits_.memory),
                  "of each process, what it may write to and does not share; " + held.error());
  }

  void cpu() {
    const std::uint64_t quota = std::uint64_t{limits_.cpu} * kCpuPeriodMicroseconds / 100;
    const auto held = by_group(
        group_, "cpu.max", std::to_string(quota) + " " + std::to_string(kCpuPeriodMicroseconds));
    hold("cpu", held ? LimitHolder::kControlGroup : LimitHolder::kNothing,
         held ? "" : held.error());
  }

  void processes() {
    const auto held = by_group(group_, "pids.max", std::to_string(limits_.processes));
    if (held) return hold("processes", LimitHolder::kControlGroup, "");
    if (user_.own || user_.uid == 0) {
      // It counts all processes of the user, and none of root's: the plugin would lack room as soon
      // as others of its user need some.
      return hold(
          "processes", LimitHolder::kNothing,
          held.error() + "; without one it holds for a plugin with a `user` of its own only");
    }
    process_limit(
        "processes", RLIMIT_NPROC, at_most_ours(RLIMIT_NPROC, limits_.processes),
        "of all processes of uid " + std::to_string(user_.uid) + " together; " + held.error());
  }

  void process_limit(const char* name, int resource, rlim_t value, std::string note) {
    plan_.process_limits.push_back({resource, value});
    hold(name, LimitHolder::kProcessLimit, std::move(note));
  }
  void hold(const char* name, LimitHolder holder, std::string note) {
    plan_.held.push_back({name, holder, std::move(note)});
  }

  const ResourceLimits& limits_;
  const std::filesystem::path& group_;
  const ProgramUser user_;
  LimitPlan plan_;
};

}  // namespace

std::expected<LimitPlan, Error> plan_limits(const ResourceLimits& limits,
                                            const std::filesystem::path& group, ProgramUser user) {
  LimitPlan plan = Planner(limits, group, user).plan();
  const auto loose = std::ranges::find(plan.held, LimitHolder::kNothing, &HeldLimit::holder);
  if (limits.required && loose != plan.held.end()) {
    return std::unexpected(
        make_error(Reason::kIsolationUnavailable,
                   "limits." + loose->name + " cannot be enforced here: " + loose->note,
                   "run plugind where it may use control groups (Delegate=yes of a systemd unit), "
                   "or remove `limits.required`",
                   "; "));
  }
  return plan;
}

}  // namespace plugind::platform
