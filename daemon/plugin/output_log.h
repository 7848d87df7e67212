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

#include "daemon/plugin/process.h"

namespace plugind::plugin {

struct LogLine {
  std::uint64_t sequence = 0;  ///< Counts up per plugin from 1.
  std::chrono::system_clock::time_point time;
  std::string instance;  ///< "NAME#3"
  OutputStream stream = OutputStream::kStdout;
  std::string text;        ///< Without the line end.
  bool truncated = false;  ///< The line was longer than the bound; the rest was dropped.
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
  };
  void add_line(const std::string& instance, OutputStream stream, std::string text, bool truncated,
                std::chrono::system_clock::time_point now);
  Partial& partial(const std::string& instance, OutputStream stream);

  Limits limits_;
  std::deque<LogLine> lines_;
  std::size_t bytes_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::vector<Partial> partials_;
  std::shared_ptr<std::list<Follower>> followers_;
};

}  // namespace plugind::plugin
