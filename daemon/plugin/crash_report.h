// What is kept of an instance that ended without having been asked to, or that could not start.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/process.h"

namespace plugind::plugin {

/// A call that was on an instance when its connection went.
struct LostCall {
  std::string method;                ///< "/package.Service/Method", as the host sent it.
  std::int64_t host_pid = 0;         ///< 0 where it is not known.
  std::chrono::milliseconds age{0};  ///< Since it came.
};

struct CrashReport {
  /// So many calls are listed; the others are only counted.
  static constexpr std::size_t kMaxCalls = 32;
  static constexpr std::size_t kMaxMethod = 256;  ///< Bytes.
  static constexpr std::size_t kMaxMessage = 2'048;
  static constexpr std::size_t kStderrLines = 20;
  static constexpr std::size_t kStderrBytes = 4'096;

  std::uint64_t number = 0;  ///< Counts up from 1 for each name of a plugin.
  std::string instance;      ///< "NAME#3"
  std::string version;       ///< The plugin's, as its manifest had it; "" if it has none.
  std::chrono::system_clock::time_point started, ended;
  /// How long it took calls; absent when it never did.
  std::optional<std::chrono::milliseconds> ready_for;
  Reason reason = Reason::kPluginCrashed;
  std::string message;             ///< A sentence, without what it wrote to stderr.
  std::int64_t pid = 0;            ///< 0: there was no process.
  std::optional<ExitStatus> exit;  ///< Absent without a process.
  bool killed = false;             ///< By the daemon, because of `reason`.
  std::string stderr_tail;         ///< Its last lines, joined by "\n".
  std::uint64_t calls_lost = 0;
  std::vector<LostCall> calls;  ///< The first kMaxCalls of them; `method` is printable.
};

}  // namespace plugind::plugin
