#include "daemon/plugin/printable.h"

#include <gtest/gtest.h>

namespace plugind::plugin {
namespace {

TEST(PrintableTest, KeepsValidUtf8) { EXPECT_EQ(printable("a\tß€😀", 100), "a\tß€😀"); }

TEST(PrintableTest, EscapesTheRest) {
  EXPECT_EQ(printable(std::string_view("\x1b[0m\r\n\0", 7), 100), "\\x1b[0m\\x0d\\x0a\\x00");
  EXPECT_EQ(printable("a\nb", 100, true), "a\nb");
  EXPECT_EQ(printable("\xff\xc3", 100), "\\xff\\xc3");
  EXPECT_EQ(printable("\xc0\xaf", 100), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(printable("\xed\xa0\x80", 100), "\\xed\\xa0\\x80");  // surrogate
  EXPECT_EQ(printable("\xc2\x85", 100), "\\xc2\\x85");           // C1 control
}

TEST(PrintableTest, CutsBetweenCharacters) {
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("abcd", 3), "abc…");
  EXPECT_EQ(printable("ab€", 4), "ab…");
}

}  // namespace
}  // namespace plugind::plugin
