#include "proto/wire/percent.h"

#include <gtest/gtest.h>

#include <string>

namespace plugind::wire {
namespace {

std::string encode(std::string_view text) {
  std::string result(percent_encoded_size(text), '?');
  EXPECT_EQ(percent_encode(text, result.data()), result.size());
  return result;
}

std::string decode(std::string_view text) {
  std::string result(text.size(), '?');
  result.resize(percent_decode(text, result.data()));
  return result;
}

TEST(Percent, KeepsPrintableAscii) {
  EXPECT_EQ(encode("the plugin \"kv\" ended: exit code 3 ~"),
            "the plugin \"kv\" ended: exit code 3 ~");
}

TEST(Percent, EncodesEverythingElse) {
  EXPECT_EQ(encode("100%\n"), "100%25%0A");
  EXPECT_EQ(encode("\x7f\x1f"), "%7F%1F");
  EXPECT_EQ(encode("\xc3\xa4"), "%C3%A4");
  EXPECT_EQ(encode(std::string_view("\0", 1)), "%00");
}

TEST(Percent, DecodesBothCases) { EXPECT_EQ(decode("%c3%A4 %25"), "\xc3\xa4 %"); }

TEST(Percent, KeepsWhatIsNoEscape) {
  EXPECT_EQ(decode("%"), "%");
  EXPECT_EQ(decode("%4"), "%4");
  EXPECT_EQ(decode("%4g %zz"), "%4g %zz");
  EXPECT_EQ(decode("%%41"), "%A");
  EXPECT_EQ(decode("100%"), "100%");
}

TEST(Percent, EveryByteComesBack) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
  EXPECT_EQ(decode(encode(bytes)), bytes);
}

TEST(Percent, DecodesInPlace) {
  std::string text = "a%41%42b";
  text.resize(percent_decode(text, text.data()));
  EXPECT_EQ(text, "aABb");
}

}  // namespace
}  // namespace plugind::wire
