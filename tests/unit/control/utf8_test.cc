#include "daemon/control/utf8.h"

#include <gtest/gtest.h>

namespace plugind::control {
namespace {

#define FFFD "\xEF\xBF\xBD"

TEST(Utf8, LeavesWellFormedTextAlone) {
  EXPECT_EQ(to_utf8(""), "");
  EXPECT_EQ(to_utf8("plain"), "plain");
  EXPECT_EQ(to_utf8("é € 😀 \xF4\x8F\xBF\xBF"), "é € 😀 \xF4\x8F\xBF\xBF");
}

TEST(Utf8, ReplacesWhatIsNot) {
  EXPECT_EQ(to_utf8("a\xFFz"), "a" FFFD "z");
  EXPECT_EQ(to_utf8("\xC0\x80"), FFFD FFFD);                    // overlong
  EXPECT_EQ(to_utf8("\xE0\x80\x80"), FFFD FFFD FFFD);           // overlong
  EXPECT_EQ(to_utf8("\xED\xA0\x80"), FFFD FFFD FFFD);           // a surrogate
  EXPECT_EQ(to_utf8("\xF4\x90\x80\x80"), FFFD FFFD FFFD FFFD);  // beyond U+10FFFF
  EXPECT_EQ(to_utf8("cut \xE2\x82"), "cut " FFFD FFFD);
  EXPECT_EQ(to_utf8("\xE2\x28\xA1"), FFFD "(" FFFD);
}

TEST(Utf8, ClipsBetweenCharacters) {
  EXPECT_EQ(clip_utf8("short", 5), "short");
  EXPECT_EQ(clip_utf8("longer", 5), "lo…");
  EXPECT_EQ(clip_utf8("aé€xyz", 6), "aé…");
  EXPECT_EQ(clip_utf8("a€xyz", 6), "a…");
  EXPECT_EQ(clip_utf8("abc", 2), "");
}

}  // namespace
}  // namespace plugind::control
