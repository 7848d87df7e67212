// The lines of one stream of output, one after another: which level each has, and which belong
// together because they are one stack trace.
#pragma once

#include <string_view>

#include "daemon/plugin/log_level.h"

namespace plugind::plugin {

struct LineMark {
  LogLevel level = LogLevel::kNone;
  bool continuation = false;  ///< It belongs to the line before it, whose level it has.
};

/// Knows the traces of Go, Rust, Python, Java, .NET, Node.js, Ruby, and C++'s last words.  Of a
/// line it looks at the first kLevelPrefix bytes, and it keeps none of them.
class LineMarker {
 public:
  /// The next line, without its end.  Takes any bytes.
  LineMark mark(std::string_view line);

 private:
  enum class Trace {
    kNone,
    kGo,           ///< After "panic:", before the goroutines.
    kGoroutines,   ///< In them.
    kRustMessage,  ///< The next line is what was said.
    kRust,
    kPython,  ///< In the frames; the next line that is not indented is the exception.
    kPythonEnd,
    kPythonChain,  ///< Between two tracebacks of which one led to the other.
    kPythonGroup,
    kPythonFatal,
    kFrames,  ///< Of the others.
  };

  bool begins(std::string_view line);
  bool continues(std::string_view line);
  bool continues_go(std::string_view line);
  bool continues_python(std::string_view line);
  bool begin(Trace trace, LogLevel level);

  Trace trace_ = Trace::kNone;
  LogLevel level_ = LogLevel::kNone;  // Of the last line that is no continuation.
  bool first_ = true;
};

}  // namespace plugind::plugin
