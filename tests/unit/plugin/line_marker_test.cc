#include "daemon/plugin/line_marker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace plugind::plugin {
namespace {

using enum LogLevel;

/// `text` line by line, a "|" before each that continues a trace and the level before each other.
std::string marked(std::string_view text) {
  LineMarker marker;
  std::string result;
  LogLevel head = kNone;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const LineMark mark = marker.mark(line);
    if (mark.continuation) {
      EXPECT_EQ(mark.level, head) << line;
    }
    head = mark.level;
    result += mark.continuation ? "|" : to_string(mark.level);
    result += ' ';
  }
  return result;
}

/// One level, then continuations, then a line that is not part of it.
void expect_whole(std::string_view trace, std::string_view level) {
  const auto lines = static_cast<std::size_t>(std::ranges::count(trace, '\n'));
  std::string expected = " " + std::string(level) + " ";
  for (std::size_t i = 1; i < lines; ++i) expected += "| ";
  expected += " info ";
  EXPECT_EQ(marked("serving\n" + std::string(trace) + "serving on\n[INFO] x\n"), expected) << trace;
}

TEST(LineMarkerTest, GoPanics) {
  expect_whole(R"(panic: boom [recovered]
	panic: boom
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x45b2e0]

goroutine 1 [running]:
main.(*Server).Serve(0xc000012345, {0x1, 0x2, ...})
	/src/main.go:14 +0x1d
main.main()
	/src/main.go:7 +0x25
created by net/http.(*Server).Serve in goroutine 18
	/usr/lib/go/src/net/http/server.go:3285 +0x4b4

goroutine 18 [select, 2 minutes]:
main.Map[...](0x1)
	/src/main.go:20
...additional frames elided...
exit status 2
)",
               "fatal");
  expect_whole(R"(fatal error: all goroutines are asleep - deadlock!

goroutine 1 [chan receive]:
main.main()
	/src/main.go:5 +0x2b
)",
               "fatal");
  expect_whole(R"(SIGQUIT: quit
PC=0x46b1a1 m=0 sigcode=0

goroutine 0 [idle]:
runtime.futex()
	/usr/lib/go/src/runtime/sys_linux_amd64.s:557 +0x21

rax    0xca
rbx    0x0
)",
               "fatal");
}

TEST(LineMarkerTest, AWordThatIsNoPanicTakesNothingWithIt) {
  EXPECT_EQ(marked("panic: is a word\nserving on\n\tindented\n"), "fatal   ");
}

TEST(LineMarkerTest, RustPanics) {
  expect_whole(R"(thread 'main' panicked at src/main.rs:2:5:
boom
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
)",
               "error");
  expect_whole(R"(thread 'tokio-runtime-worker' (4242) panicked at src/main.rs:4:5:
assertion `left == right` failed
  left: 1
 right: 2
stack backtrace:
   0: rust_begin_unwind
             at /rustc/abc/library/std/src/panicking.rs:652:5
   1: text::main
             at ./src/main.rs:4:5
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
)",
               "error");
  expect_whole("thread '<unnamed>' panicked at 'boom', src/main.rs:2:5\n", "error");
}

TEST(LineMarkerTest, PythonTracebacks) {
  expect_whole(R"(Traceback (most recent call last):
  File "/src/a.py", line 3, in f
    return 1 / 0
           ~~^~~
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/src/a.py", line 5, in <module>
    raise ValueError("x")
ValueError: x
)",
               "error");
  expect_whole(R"(  + Exception Group Traceback (most recent call last):
  |   File "/src/a.py", line 1, in <module>
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: 1
    +------------------------------------
)",
               "error");
  expect_whole(R"(Fatal Python error: Segmentation fault

Current thread 0x00007f (most recent call first):
  File "/src/a.py", line 3 in f

Extension modules: grpc._cython.cygrpc (total: 1)
)",
               "fatal");
}

TEST(LineMarkerTest, JavaDotNetAndNodeStacks) {
  expect_whole(R"(Exception in thread "main" java.lang.IllegalStateException: boom
	at com.example.Kv.main(Kv.java:3)
Caused by: java.io.IOException: no
	at com.example.Kv.read(Kv.java:9)
	... 1 more
)",
               "error");
  expect_whole("java.util.concurrent.ExecutionException\n\tat a.B.c(B.java:1)\n", "error");
  expect_whole(R"(Unhandled exception. System.InvalidOperationException: boom
 ---> System.IO.IOException: no
   at Kv.Read() in /src/Kv.cs:line 9
   --- End of inner exception stack trace ---
   at Kv.Main() in /src/Kv.cs:line 3
)",
               "fatal");
  expect_whole(R"(TypeError: Cannot read properties of undefined (reading 'x')
    at Object.<anonymous> (/src/a.js:1:7)
    at node:internal/main/run_main_module:23:47 {
  code: 'E'
}
)",
               "error");
  expect_whole("Uncaught RangeError: x\n    at f (/src/a.js:1:7)\n", "error");
}

TEST(LineMarkerTest, OthersLastWords) {
  expect_whole(
      "terminate called after throwing an instance of 'std::runtime_error'\n  what():  x\n",
      "fatal");
}

TEST(LineMarkerTest, FramesBelongToTheLineBeforeThem) {
  EXPECT_EQ(marked("[WARN] it went wrong\n\tat a.B.c(B.java:1)\n\t... 2 more\nnext\n"),
            "warn | |  ");
  EXPECT_EQ(marked("a.rb:3:in `f': no (RuntimeError)\n\tfrom a.rb:7:in `<main>'\n"), " | ");
  EXPECT_EQ(marked("==7==ERROR: AddressSanitizer: heap-use-after-free\n    #0 0x4f2 in f a.cc:3\n"),
            " | ");
  // Not the first line of all: there is none before it.
  EXPECT_EQ(marked("\tat a.B.c(B.java:1)\nnext\n"), "  ");
}

TEST(LineMarkerTest, ALineWithALevelEndsATrace) {
  EXPECT_EQ(marked("panic: boom\n\ngoroutine 1 [running]:\nmain.main()\n[INFO] on it goes\n"),
            "fatal | | | info ");
  EXPECT_EQ(marked("Traceback (most recent call last):\n  File\nKeyError: 'x'\n[INFO] on\n"),
            "error | | info ");
}

TEST(LineMarkerTest, IndentedProseIsNoTrace) {
  EXPECT_EQ(marked("list:\n  one\n\ttwo\n    at last\n"), "   | ");
  EXPECT_EQ(marked("#include <x>\n  #1 of all\nResultError is a word\n"), "   ");
  EXPECT_EQ(marked("an Error: x\n  indented\n"), "  ");
}

TEST(LineMarkerTest, ColoursAreLookedThrough) {
  EXPECT_EQ(marked("\x1b[2m2026-01-02T15:04:05.123Z\x1b[0m \x1b[33m WARN\x1b[0m kv: tracing\n"
                   "\x1b[31m[ERROR]\x1b[39m x\n"
                   "\x1b[1;31mTraceback (most recent call last):\x1b[0m\n  File\n"
                   "\x1b\n\x1b[\n\x1b[31"),
            "warn error error |    ");
}

TEST(LineMarkerTest, TakesLinesOfAnyLength) {
  LineMarker marker;
  EXPECT_EQ(marker.mark("[ERROR] " + std::string(1 << 20, 'x')).level, kError);
  EXPECT_EQ(marker.mark(std::string(1 << 20, '\x1b')).level, kNone);
  EXPECT_EQ(marker.mark(std::string(1 << 20, '[')).level, kNone);
  EXPECT_EQ(marker.mark(std::string(1 << 20, ' ') + "[ERROR]").level, kNone);
}

}  // namespace
}  // namespace plugind::plugin
