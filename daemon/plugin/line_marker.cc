#include "daemon/plugin/line_marker.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace plugind::plugin {
namespace {

constexpr char kEscape = '\x1b';

bool digit(char c) { return c >= '0' && c <= '9'; }
bool upper(char c) { return c >= 'A' && c <= 'Z'; }
bool letter(char c) { return upper(c) || (c >= 'a' && c <= 'z'); }
bool indented(std::string_view line) { return line.starts_with(' ') || line.starts_with('\t'); }

std::string_view unindented(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return line;
}

/// The beginning of a line without what gives it colour: "ESC [ … letter".
class Prefix {
 public:
  explicit Prefix(std::string_view line) : text_(line.substr(0, kLevelPrefix)) {
    if (text_.contains(kEscape)) strip();
  }
  std::string_view text() const { return text_; }

 private:
  void strip() {
    std::size_t size = 0;
    for (std::size_t at = 0; at < text_.size();) {
      if (text_[at] != kEscape) {
        buffer_[size++] = text_[at++];
        continue;
      }
      at = std::min(at + 2, text_.size());
      if (text_[at - 1] != '[') continue;
      while (at < text_.size() && !(text_[at] >= '@' && text_[at] <= '~')) ++at;
      ++at;
    }
    text_ = {buffer_.data(), size};
  }

  std::string_view text_;
  std::array<char, kLevelPrefix> buffer_;  // Only filled if it is needed.
};

/// "goroutine 12 [running]:"
bool goroutine(std::string_view line) {
  constexpr std::string_view kWord = "goroutine ";
  if (!line.starts_with(kWord)) return false;
  const std::size_t end = line.find_first_not_of("0123456789", kWord.size());
  return end != line.npos && end > kWord.size() && line.substr(end).starts_with(" [");
}

/// "SIGSEGV: segmentation violation", as Go prints it.
bool signal_name(std::string_view line) {
  const std::size_t colon = line.find(": ");
  return line.starts_with("SIG") && colon != line.npos && colon > 5 && colon < 12 &&
         std::ranges::all_of(line.substr(0, colon), upper);
}

/// "main.(*Server).Serve(0xc000010000, {0x1, 0x2})"
bool go_function(std::string_view line) {
  if (line.empty() || !letter(line[0])) return false;
  const std::size_t arguments = line.find('(');
  if (arguments == line.npos || line.substr(0, arguments).contains(' ')) return false;
  return line.ends_with(')') || line.size() == kLevelPrefix;
}

/// "rax    0x0"
bool register_value(std::string_view line) {
  const std::size_t name = line.find(' ');
  return name >= 2 && name <= 6 && unindented(line.substr(name)).starts_with("0x");
}

/// "java.lang.IllegalStateException: why", "TypeError: why", "Error".
bool exception(std::string_view line) {
  constexpr std::size_t kLongest = 128;
  const std::size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (name.size() > kLongest) return false;
  if (colon != line.npos && colon + 1 < line.size() && line[colon + 1] != ' ') return false;
  if (!name.ends_with("Error") && !name.ends_with("Exception")) return false;
  return letter(name[0]) && std::ranges::all_of(name, [](char c) {
           return letter(c) || digit(c) || c == '.' || c == '_' || c == '$';
         });
}

/// A line that is nothing but a frame of a stack, whatever it follows: "\tat a.b.C(C.java:3)",
/// "    at main (/a.js:1:2)", "\t... 3 more", "\tfrom a.rb:3:in `f'", "    #0 0x4f in main".
bool frame(std::string_view line) {
  if (line.starts_with("Caused by: ")) return true;
  if (!indented(line)) return false;
  const std::string_view text = unindented(line);
  if (text.starts_with("at ")) return true;
  if (line[0] == '\t' && text.starts_with("from ")) return true;
  if (line[0] == '\t' && text.starts_with("... ") && text.ends_with(" more")) return true;
  return text.size() > 4 && text[0] == '#' && digit(text[1]) && text.contains(" 0x");
}

}  // namespace

LineMark LineMarker::mark(std::string_view line) {
  const Prefix prefix(line);
  const std::string_view text = prefix.text();
  if (trace_ != Trace::kNone && continues(text)) return {level_, true};
  trace_ = Trace::kNone;
  if (!first_ && frame(text)) {
    trace_ = Trace::kFrames;
    return {level_, true};
  }
  first_ = false;
  if (!begins(text)) level_ = level_of(text);
  return {level_, false};
}

bool LineMarker::begin(Trace trace, LogLevel level) {
  trace_ = trace;
  level_ = level;
  return true;
}

bool LineMarker::begins(std::string_view line) {
  if (line.empty()) return false;
  switch (line[0]) {
    case 'p':
      if (line.starts_with("panic: ")) return begin(Trace::kGo, LogLevel::kFatal);
      break;
    case 'f':
      if (line.starts_with("fatal error: ")) return begin(Trace::kGo, LogLevel::kFatal);
      break;
    case 'g':
      if (goroutine(line)) return begin(Trace::kGoroutines, LogLevel::kError);
      break;
    case 't':
      if (line.starts_with("thread '") && line.contains(" panicked at ")) {
        return begin(line.ends_with(':') ? Trace::kRustMessage : Trace::kRust, LogLevel::kError);
      }
      if (line.starts_with("terminate called ")) return begin(Trace::kFrames, LogLevel::kFatal);
      break;
    case 'T':
      if (line.starts_with("Traceback (most recent call last):")) {
        return begin(Trace::kPython, LogLevel::kError);
      }
      break;
    case ' ':
      if (unindented(line).starts_with("+ Exception Group Traceback (")) {
        return begin(Trace::kPythonGroup, LogLevel::kError);
      }
      return false;
    case 'F':
      if (line.starts_with("Fatal Python error: ")) {
        return begin(Trace::kPythonFatal, LogLevel::kFatal);
      }
      break;
    case 'S':
      if (signal_name(line)) return begin(Trace::kGo, LogLevel::kFatal);
      break;
    case 'E':
      if (line.starts_with("Exception in thread \"")) {
        return begin(Trace::kFrames, LogLevel::kError);
      }
      break;
    case 'U':
      if (line.starts_with("Unhandled exception") || line.starts_with("Unhandled Exception")) {
        return begin(Trace::kFrames, LogLevel::kFatal);
      }
      if (line.starts_with("Uncaught ")) line.remove_prefix(9);
      break;
    default:
      break;
  }
  return exception(line) && begin(Trace::kFrames, LogLevel::kError);
}

bool LineMarker::continues(std::string_view line) {
  switch (trace_) {
    case Trace::kNone:
      return false;
    case Trace::kGo:
    case Trace::kGoroutines:
      return continues_go(line);
    case Trace::kRustMessage:
      trace_ = Trace::kRust;
      return true;
    case Trace::kRust:
      return indented(line) || line.starts_with("note: ") || line == "stack backtrace:";
    case Trace::kPython:
    case Trace::kPythonEnd:
    case Trace::kPythonChain:
      return continues_python(line);
    case Trace::kPythonGroup:
      return indented(line);
    case Trace::kPythonFatal:
      return line.empty() || indented(line) || line.starts_with("Current thread ") ||
             line.starts_with("Thread 0x") || line.starts_with("Python runtime state: ") ||
             line.starts_with("Extension modules: ");
    case Trace::kFrames:
      return indented(line) || line.starts_with("Caused by: ") || line == "}";
  }
  return false;
}

bool LineMarker::continues_go(std::string_view line) {
  if (line.empty() || indented(line)) return true;
  if (goroutine(line) || line == "runtime stack:") {
    trace_ = Trace::kGoroutines;
    return true;
  }
  if (trace_ == Trace::kGoroutines) {
    return go_function(line) || line.starts_with("created by ") || line.starts_with("...") ||
           line.starts_with("exit status ") || register_value(line);
  }
  return line.starts_with("[signal ") || line.starts_with("[recovered") ||
         line.starts_with("panic: ") || line.starts_with("fatal error: ") ||
         line.starts_with("runtime: ") || line.starts_with("PC=0x");
}

bool LineMarker::continues_python(std::string_view line) {
  if (trace_ == Trace::kPython) {
    if (line.empty()) return false;
    if (!indented(line)) trace_ = Trace::kPythonEnd;
    return true;
  }
  if (trace_ == Trace::kPythonEnd && indented(line)) return true;
  if (line.empty() || line.starts_with("During handling of the above exception, ") ||
      line.starts_with("The above exception was the direct cause of ")) {
    trace_ = Trace::kPythonChain;
    return true;
  }
  if (trace_ == Trace::kPythonChain && line.starts_with("Traceback (most recent call last):")) {
    trace_ = Trace::kPython;
    return true;
  }
  return false;
}

}  // namespace plugind::plugin
