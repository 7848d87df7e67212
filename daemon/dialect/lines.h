// Bytes into lines, with a bound on their length.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace plugind::dialect {

/// Cuts a stream of bytes into lines.  Of a line longer than the bound the rest is dropped.
class LineSplitter {
 public:
  /// Gets a line without its end (LF or CRLF).
  using Sink = std::function<void(std::string_view line)>;

  LineSplitter(std::size_t max_length, Sink sink)
      : max_length_(max_length), sink_(std::move(sink)) {}

  void feed(std::string_view bytes);
  /// Hands over an unfinished last line, if there is one.
  void finish();

 private:
  void end_line();

  std::size_t max_length_;
  Sink sink_;
  std::string partial_;
};

}  // namespace plugind::dialect
