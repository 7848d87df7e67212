#include "client-lib/pluginctl/crash_text.h"

#include <cstdint>
#include <cstdio>

#include "client-lib/pluginctl/style.h"
#include "client-lib/pluginctl/table.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

/// "  label:   value", nothing for an empty value.
void add(std::string& text, std::string_view label, const std::string& value) {
  constexpr std::size_t kColumn = 12;
  if (value.empty()) return;
  std::string line = "  " + std::string(label) + ":";
  line.append(line.size() < kColumn ? kColumn - line.size() : 1, ' ');
  text += line + value + "\n";
}

std::string seconds_text(const google::protobuf::Duration& duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f s",
                static_cast<double>(duration.seconds()) + duration.nanos() / 1e9);
  return text;
}

std::string started_text(const v1::Crash& crash) {
  return exact_time_text(crash.start_time()) +
         (crash.has_ready_for() ? ", ready for " + duration_text(crash.ready_for())
                                : ", never ready");
}

/// How the process ended.
std::string exit_text(const v1::Crash& crash) {
  if (crash.pid() == 0) return "there was none";
  return "pid " + std::to_string(crash.pid()) +
         (crash.exit().empty() ? ", which could not be ended" : ", " + printable(crash.exit())) +
         (crash.killed() ? ", by plugind" : "");
}

std::string core_text(const v1::Crash& crash) {
  return printable(crash.core_file().empty() ? crash.core_note() : crash.core_file());
}

std::string use_text(const v1::Crash& crash) {
  if (!crash.has_use()) return "";
  const v1::ResourceUse& use = crash.use();
  return seconds_text(use.user_time()) + " user, " + seconds_text(use.system_time()) + " system, " +
         (use.peak_is_bound() ? "less than " : "") + size_text(use.peak_memory()) + " of memory";
}

std::string calls_text(const v1::Crash& crash, bool colour) {
  if (crash.calls().empty()) return "";
  Table table({"METHOD", "HOST", "AGE"});
  for (const v1::LostCall& call : crash.calls()) {
    table.add({printable(call.method()),
               call.host_pid() == 0 ? std::string("-") : std::to_string(call.host_pid()),
               duration_text(call.age())});
  }
  std::string text = table.text(colour, 4);
  const std::uint64_t listed = static_cast<std::uint64_t>(crash.calls_size());
  if (crash.calls_lost() > listed) {
    text += "    and " + std::to_string(crash.calls_lost() - listed) + " more\n";
  }
  return text;
}

}  // namespace

std::string crash_text(const v1::Crash& crash, std::chrono::system_clock::time_point now,
                       bool colour) {
  std::string text = paint(printable(crash.instance()), Colour::kBold, colour) +
                     (crash.version().empty() ? "" : ", version " + printable(crash.version())) +
                     ", " + exact_time_text(crash.end_time()) + " (" +
                     age_text(crash.end_time(), now) +
                     "): " + paint(printable(crash.reason()), Colour::kRed, colour) + "\n";
  add(text, "what", printable(crash.message()));
  add(text, "started", started_text(crash));
  add(text, "process", exit_text(crash));
  add(text, "core", core_text(crash));
  add(text, "used", use_text(crash));
  if (crash.has_ready_for() || crash.calls_lost() > 0) {
    add(text, "calls", std::to_string(crash.calls_lost()) + " in flight");
  }
  text += calls_text(crash, colour);
  if (crash.stderr_lines().empty()) {
    add(text, "stderr", "nothing");
  } else {
    text += "  stderr:\n";
    for (const std::string& line : crash.stderr_lines()) text += "    " + printable(line) + "\n";
  }
  return text;
}

}  // namespace plugind::pluginctl
