#include "daemon/app/output_text.h"

#include <gtest/gtest.h>

namespace plugind::app {
namespace {

using plugin::LogLevel;
using plugin::LogLine;
using plugin::OutputStream;
using namespace std::chrono_literals;

const auto kTime =
    std::chrono::sys_days(std::chrono::January / 31 / 2026) + 23h + 59min + 5s + 7ms + 999us;

std::string text(const LogLine& line) {
  std::string out;
  append_line(out, line);
  return out;
}

TEST(OutputText, HasTimeInstanceStreamAndLevel) {
  LogLine line;
  line.time = kTime;
  line.instance = "kv#1";
  line.text = "[WARN] slow";
  line.level = LogLevel::kWarn;
  EXPECT_EQ(text(line), "2026-01-31T23:59:05.007Z kv#1 stdout warn  [WARN] slow\n");
  line.stream = OutputStream::kStderr;
  line.level = LogLevel::kNone;
  line.text = "";
  EXPECT_EQ(text(line), "2026-01-31T23:59:05.007Z kv#1 stderr -     \n");
  line.level = LogLevel::kFatal;
  line.continuation = true;
  line.text = "\tgoroutine 1";
  line.truncated = true;
  EXPECT_EQ(text(line), "2026-01-31T23:59:05.007Z kv#1 stderr |     \tgoroutine 1 [cut off]\n");
}

TEST(OutputText, ATerminalDoesNothingAndALineStaysOne) {
  LogLine line;
  line.time = kTime;
  line.instance = "kv#1";
  line.text = std::string("a\x1b[2Jb\rc\0d\x7f", 11) + "\xc3\xa4\xff";
  EXPECT_TRUE(text(line).ends_with(" a\\x1b[2Jb\\x0dc\\x00d\\x7f\xc3\xa4\xff\n")) << text(line);
}

TEST(OutputText, SaysWhatIsMissing) {
  std::string out;
  append_missing(out, kTime, 1, "why");
  append_missing(out, kTime, 20, "why");
  EXPECT_EQ(out,
            "2026-01-31T23:59:05.007Z plugind - warn  1 line is missing here: why\n"
            "2026-01-31T23:59:05.007Z plugind - warn  20 lines are missing here: why\n");
}

}  // namespace
}  // namespace plugind::app
