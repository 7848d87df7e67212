// What instances print: split into lines, kept in a bounded ring, offered to followers.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugin/line_marker.h"
#include "daemon/plugin/log_level.h"
#include "daemon/plugin/process.h"

namespace plugind::plugin {

struct LogLine {
  std::uint64_t sequence = 0;  ///< Counts up per plugin from 1.
  std::chrono::system_clock::time_point time;
  std::string instance;  ///< "NAME#3"
  OutputStream stream = OutputStream::kStdout;
  std::string text;                  ///< Without the line end.
  bool truncated = false;            ///< The line was longer than the bound; the rest was dropped.
  LogLevel level = LogLevel::kNone;  ///< What the line says of itself, or the trace it is part of.
  bool continuation = false;         ///< Part of a trace that began with an earlier line.
  std::uint64_t head = 0;            ///< The sequence of the line that the trace began with.
};

/// Which lines somebody wants to see.
struct LogSelection {
  std::size_t lines = SIZE_MAX;  ///< At most so many, the last ones.
  std::chrono::system_clock::time_point since = std::chrono::system_clock::time_point::min();
  LogLevel lowest = LogLevel::kNone;

  /// Whether a line of this time and level is wanted; `lines` is another matter.
  bool wants(const LogLine& line) const {
    return line.time >= since && at_least(line.level, lowest);
  }
};

/// The log of one plugin.  Bounded in lines and in bytes.
class OutputLog {
 public:
  struct Limits {
    std::size_t lines = 2'000;
    std::size_t bytes = 1 << 20;
    std::size_t line_length = 16 << 10;
  };
  using Follower = std::function<void(const LogLine&)>;
  /// Ends the following when destroyed.
  using Subscription = std::shared_ptr<void>;

  OutputLog();
  explicit OutputLog(Limits limits);
  OutputLog(const OutputLog&) = delete;
  OutputLog& operator=(const OutputLog&) = delete;

  /// Takes bytes as they were read; completes lines.
  void append(const std::string& instance, OutputStream stream, std::string_view bytes,
              std::chrono::system_clock::time_point now);
  /// Ends an unfinished last line of `instance`.
  void finish(const std::string& instance, std::chrono::system_clock::time_point now);

  /// The last `count` lines, oldest first.
  std::vector<LogLine> tail(std::size_t count) const;
  /// The lines that are wanted, oldest first.  Of a trace of which one line is, all are given that
  /// are still there, so that there may be more of them than `lines`.
  std::vector<LogLine> select(const LogSelection& selection) const;
  /// The last lines of one instance's stderr, for error messages: at most `count` lines and
  /// `max_bytes` bytes, joined by "\n".
  std::string last_stderr(const std::string& instance, std::size_t count,
                          std::size_t max_bytes) const;
  Subscription follow(Follower follower);

 private:
  struct Partial {
    std::string instance;
    OutputStream stream;
    std::string text;
    bool truncated = false;
    LineMarker marker;
    std::uint64_t head = 0;  // The last line that is no continuation.
  };
  /// What `partial` has becomes a line.
  void add_line(Partial& partial, std::chrono::system_clock::time_point now);
  Partial& partial(const std::string& instance, OutputStream stream);

  Limits limits_;
  std::deque<LogLine> lines_;
  std::size_t bytes_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::vector<Partial> partials_;
  std::shared_ptr<std::list<std::shared_ptr<const Follower>>> followers_;
};

}  // namespace plugind::plugin
