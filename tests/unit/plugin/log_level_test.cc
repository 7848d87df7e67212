#include "daemon/plugin/log_level.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace plugind::plugin {
namespace {

using enum LogLevel;

struct Sample {
  std::string line;
  LogLevel level;
};

void check(const std::vector<Sample>& samples) {
  for (const auto& [line, level] : samples) {
    EXPECT_EQ(to_string(level_of(line)), to_string(level)) << line;
  }
}

TEST(LogLevelTest, OfHclog) {
  check({
      {R"({"@level":"warn","@message":"m","@timestamp":"2026-01-02T15:04:05.123456Z"})", kWarn},
      {R"({"@caller":"a.go:3","@level":"trace","@message":"m"})", kTrace},
      {R"({ "@message" : "\"@level\":\"error\"" , "@level" : "debug" })", kDebug},
      {R"({"kv":{"@level":"error"},"list":["@level","error"],"@level":"info"})", kInfo},
      {"2026-01-02T15:04:05.123+0100 [WARN]  kv: message: key=value", kWarn},
      {"2026-01-02T15:04:05.123Z [ERROR] kv.sub: message", kError},
      {"2026-01-02T15:04:05.123Z [TRACE] message", kTrace},
      {"[INFO]  kv: no time", kInfo},
  });
}

TEST(LogLevelTest, OfOtherJson) {
  check({
      {R"({"level":"error","ts":1767366245.1,"msg":"zap"})", kError},
      {R"({"time":"2026-01-02T15:04:05Z","level":"ERROR","msg":"slog"})", kError},
      {R"({"severity":"WARNING","message":"cloud"})", kWarn},
      {R"({"level":30,"time":1531171074631,"msg":"pino"})", kInfo},
      {R"({"name":"bunyan","level":60,"msg":"m"})", kFatal},
      {R"({"version":"1.1","short_message":"GELF","level":3})", kError},
  });
}

TEST(LogLevelTest, JsonOfTheWrongShapeHasNone) {
  check({
      {R"({"@level":{"@level":"error"}})", kNone},
      {R"({"@level":["error"]})", kNone},
      {R"({"@level":"quite loud"})", kNone},
      {R"({"@level":"error)", kNone},
      {R"({"@level":)", kNone},
      {R"({"@level)", kNone},
      {R"({"@level":12345678901234567890})", kNone},
      {R"({"a":"\)", kNone},
      {R"({"nothing":"error"})", kNone},
      {R"({}"level":"error")", kNone},
      {R"({"level":null,"severity":"error"})", kError},
      {"{" + std::string(kLevelPrefix, ' ') + R"("level":"error"})", kNone},
  });
}

TEST(LogLevelTest, OfCommonPrefixes) {
  check({
      {"[ERROR] message", kError},
      {"[error] message", kError},
      {"[ warn ] message", kWarn},
      {"ERROR: message", kError},
      {"error: message", kError},
      {"ERROR:root:python's own", kError},
      {"WARN message", kWarn},
      {"  INFO message", kInfo},
      {"SEVERE: message", kError},
      {"fail: Category[0]", kError},
      {"crit: Category[0]", kFatal},
      {"<3>message", kError},
      {"<0>message", kFatal},
      {"<4>message", kWarn},
      {"<7>message", kDebug},
      {"<30>Jan  2 15:04:05 with a facility", kInfo},
      {"E0102 15:04:05.123456  1234 file.cc:12] glog", kError},
      {"W20260102 15:04:05.123456  1234 file.cc:12] glog", kWarn},
      {"I0102 15:04:05.123456  1234 file.go:12] klog", kInfo},
      {"F0102 15:04:05 fatal", kFatal},
      {"level=error msg=m", kError},
      {R"(time="2026-01-02T15:04:05Z" level=warning msg="logrus")", kWarn},
      {R"(time=2026-01-02T15:04:05.123Z level=ERROR+2 msg=slog)", kError},
      {R"(ts=2026-01-02T15:04:05Z caller=main.go:3 lvl="debug" msg=m)", kDebug},
  });
}

TEST(LogLevelTest, BehindTimesAndNames) {
  check({
      {"2026-01-02T15:04:05.123456Z ERROR kv::server: tracing", kError},
      {"[2026-01-02T15:04:05Z WARN  kv] env_logger", kWarn},
      {"[2026-01-02 15:04:05.123] [kv] [warning] spdlog", kWarn},
      {"2026-01-02 15:04:05,123 - kv - ERROR - python", kError},
      {"15:04:05.123 [main] ERROR com.example.Kv - logback", kError},
      {"2026-01-02T15:04:05.000Z  WARN 12345 --- [main] c.e.Kv : spring", kWarn},
      {"2026/01/02 15:04:05 [emerg] 123#0: nginx", kFatal},
      {"2026/01/02 15:04:05 ERROR slog", kError},
      {"[Fri Jan 02 15:04:05.123456 2026] [core:error] [pid 35] httpd", kError},
      {"2026-01-02T15:04:05.123Z\tinfo\tmain.go:3\tzap", kInfo},
      {"[0102/150405.123:FATAL:file.cc(12)] chromium", kFatal},
      {"[W 15:04:05.123 NotebookApp] tornado", kWarn},
      {"2026-01-02 15:04:05.123 | INFO     | kv:main:3 - loguru", kInfo},
  });
}

TEST(LogLevelTest, ProseHasNone) {
  check({
      {"", kNone},
      {" \t ", kNone},
      {"listening on :8080", kNone},
      {"an error: is not in front", kNone},
      {"error in the middle of a sentence", kNone},
      {"Warn me when it is done", kNone},
      {"2026-01-02 error rates are low", kNone},
      {"INFORMATION about it", kInfo},
      {"kv: error: a program's name", kNone},
      {"<b>bold</b>", kNone},
      {"<3 hearts>", kNone},
      {"<999>message", kNone},
      {"E0102 no time", kNone},
      {"x=1 sublevel=error", kNone},
      {"set level=error in the file", kNone},
      {"ERRORS ARE FUN", kNone},
      {"1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 ERROR", kNone},
      {std::string(2'000, ' ') + "ERROR", kNone},
      {std::string("\0\xff\xfe[ERROR]", 10), kNone},
  });
}

TEST(LogLevelTest, ComparesWithNoneAsInfo) {
  EXPECT_TRUE(at_least(kNone, kInfo));
  EXPECT_FALSE(at_least(kNone, kWarn));
  EXPECT_TRUE(at_least(kDebug, kNone));
  EXPECT_FALSE(at_least(kDebug, kInfo));
  EXPECT_TRUE(at_least(kFatal, kError));
}

}  // namespace
}  // namespace plugind::plugin
