#include "daemon/app/logging.h"

#include <gtest/gtest.h>

namespace plugind::app {
namespace {

TEST(Logging, APlainValueStandsAsItIs) {
  EXPECT_EQ(format_event("started", {{"plugin", "kv"}, {"path", "/run/p-1.0:x,y'z"}}),
            "event=started plugin=kv path=/run/p-1.0:x,y'z");
  EXPECT_EQ(format_event("stopped", {}), "event=stopped");
  EXPECT_EQ(format_event("said", {{"text", "gr\xc3\xbc\xc3\x9f"}}),
            "event=said text=gr\xc3\xbc\xc3\x9f");
}

TEST(Logging, AValueThatCouldBeTakenForMoreIsQuoted) {
  EXPECT_EQ(format_event("e", {{"a", ""}, {"b", "two words"}, {"c", "x=y"}}),
            "event=e a=\"\" b=\"two words\" c=\"x=y\"");
  EXPECT_EQ(format_event("e", {{"a", "say \"hi\" event=forged"}, {"b", "C:\\x"}}),
            "event=e a=\"say \\\"hi\\\" event=forged\" b=\"C:\\\\x\"");
}

TEST(Logging, AnEventStaysOneLineAndATerminalDoesNothing) {
  EXPECT_EQ(format_event("e", {{"a", "one\ntwo\r\tthree"}}), R"(event=e a="one\ntwo\x0d\tthree")");
  EXPECT_EQ(format_event("e", {{"a", std::string("\x1b[2J\x7f\0.", 7)}}),
            R"(event=e a="\x1b[2J\x7f\x00.")");
  EXPECT_EQ(format_event("a\nb", {}), R"(event="a\nb")");
}

}  // namespace
}  // namespace plugind::app
