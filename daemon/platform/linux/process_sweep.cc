#include "daemon/platform/linux/process_sweep.h"

#include <csignal>

namespace plugind::platform {
namespace {

// A fork bomb grows by a factor each round, so this many rounds end it or nothing does; what is
// found until then is killed in any case.
constexpr int kMaxRounds = 64;

}  // namespace

void add_descendants(const std::vector<ProcessInfo>& all, std::set<pid_t>& members) {
  for (bool grown = true; grown;) {
    grown = false;
    for (const ProcessInfo& info : all) {
      if (members.contains(info.parent) && members.insert(info.id.pid).second) grown = true;
    }
  }
}

void stop_and_kill(const std::function<std::vector<ProcessId>()>& find) {
  std::set<ProcessId> stopped;
  for (int round = 0; round < kMaxRounds; ++round) {
    bool found_new = false;
    for (const ProcessId& id : find()) {
      if (!stopped.insert(id).second) continue;
      found_new = true;
      signal_process(id, SIGSTOP);
    }
    if (!found_new) break;
  }
  for (const ProcessId& id : stopped) signal_process(id, SIGKILL);
}

std::vector<ProcessId> living_descendants(pid_t root) {
  std::vector<ProcessId> result;
  for (const ProcessInfo& info : descendants(root)) {
    if (info.living) result.push_back(info.id);
  }
  return result;
}

}  // namespace plugind::platform
