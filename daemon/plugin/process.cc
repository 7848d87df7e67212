#include "daemon/plugin/process.h"

#include <cstring>

namespace plugind::plugin {

std::string ExitStatus::describe() const {
  if (!code && !signal) return "unknown exit status";
  std::string text =
      code ? "exit code " + std::to_string(*code) : "signal " + std::to_string(*signal);
  const char* const name = signal ? sigabbrev_np(*signal) : nullptr;
  if (name != nullptr) text += std::string(" (SIG") + name + ")";
  if (core_dumped) text += ", core dumped";
  if (memory_kill == MemoryKill::kLikely) {
    text += ", most likely out of memory";
  } else if (memory_kill == MemoryKill::kOverLimit) {
    text += ", out of memory";
  }
  return text;
}

std::string ExitStatus::memory_remedy(const ResourceLimits& limits) const {
  if (memory_kill == MemoryKill::kNone) return "";
  if (memory_kill == MemoryKill::kOverLimit && limits.memory > 0) {
    return "; raise `limits.memory`, or have it use less";
  }
  return "; the machine, or what plugind itself may use of it, has too little memory for it";
}

void ExitStatus::add_details(Error& error) const {
  if (code) error.details.emplace_back("exit_code", std::to_string(*code));
  if (signal) error.details.emplace_back("signal", std::to_string(*signal));
  if (core_dumped) error.details.emplace_back("core_dumped", "true");
  if (memory_kill == MemoryKill::kNone) return;
  const bool over_limit = memory_kill == MemoryKill::kOverLimit;
  error.details.emplace_back("out_of_memory", over_limit ? "limit" : "likely");
}

}  // namespace plugind::plugin
