#include "daemon/plugin/process.h"

#include <cstring>

namespace plugind::plugin {

std::string ExitStatus::describe() const {
  if (code) return "exit code " + std::to_string(*code);
  if (!signal) return "unknown exit status";
  std::string text = "signal " + std::to_string(*signal);
  if (const char* name = sigabbrev_np(*signal)) text += std::string(" (SIG") + name + ")";
  if (core_dumped) text += ", core dumped";
  return text;
}

}  // namespace plugind::plugin
