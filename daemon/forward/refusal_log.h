// Log lines about refusals, which a peer can cause as fast as it likes.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace plugind::forward {

/// At most one line a second about each subject, with the number of those that were left out.
class RefusalLog {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  /// The line to write, if one may be written now.
  std::optional<std::string> note(const std::string& subject, std::string line, TimePoint now) {
    // Subjects come and go with manifests and users.
    if (subjects_.size() >= kMostSubjects && !subjects_.contains(subject)) subjects_.clear();
    const auto [it, first] = subjects_.try_emplace(subject, Subject{now, 0});
    Subject& known = it->second;
    if (!first && now - known.written < std::chrono::seconds(1)) {
      ++known.left_out;
      return std::nullopt;
    }
    known.written = now;
    if (const std::uint64_t count = std::exchange(known.left_out, 0); count > 0) {
      line += " (and " + std::to_string(count) + " more since the last line about it)";
    }
    return line;
  }

 private:
  static constexpr std::size_t kMostSubjects = 4'096;
  struct Subject {
    TimePoint written;
    std::uint64_t left_out = 0;
  };
  std::unordered_map<std::string, Subject> subjects_;
};

}  // namespace plugind::forward
