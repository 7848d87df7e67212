#include "daemon/platform/linux/reap.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>

#include "daemon/platform/linux/core_dump.h"

namespace plugind::platform {
namespace {

// The kernel's counters of resident pages are not exact to the page.
constexpr std::uint64_t kPeakDoubt = 1 << 20;

std::chrono::microseconds duration_of(const timeval& time) {
  return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

std::uint64_t peak_of(const rusage& usage) {
  return static_cast<std::uint64_t>(usage.ru_maxrss) << 10;  // It is in KiB.
}

}  // namespace

std::uint64_t own_peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return peak_of(usage);
}

std::optional<ExitStatus> reap_child(const ChildFacts& child, Reap when) {
  int native = 0;
  rusage usage{};
  pid_t reaped;
  while ((reaped = ::wait4(child.pid, &native, when == Reap::kNow ? WNOHANG : 0, &usage)) == -1 &&
         errno == EINTR) {
  }
  if (reaped != child.pid) return std::nullopt;
  ExitStatus status;
  if (WIFSIGNALED(native)) {
    status.signal = WTERMSIG(native);
    status.core_dumped = WCOREDUMP(native);
  } else {
    status.code = WEXITSTATUS(native);
  }
  status.use = ResourceUse{.user_time = duration_of(usage.ru_utime),
                           .system_time = duration_of(usage.ru_stime),
                           .peak_memory = peak_of(usage),
                           .peak_is_bound = peak_of(usage) <= child.inherited_peak + kPeakDoubt};
  if (status.core_dumped) {
    status.core = core_of({child.pid, child.uid, child.gid, *status.signal, child.directory});
  }
  return status;
}

}  // namespace plugind::platform
