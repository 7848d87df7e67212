#include "proto/wire/base64.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace plugind::wire {
namespace {

std::string encode(std::string_view bytes) {
  std::string text(base64_encoded_size(bytes.size()), '?');
  EXPECT_EQ(base64_encode(bytes.data(), bytes.size(), text.data()), text.size());
  return text;
}

std::optional<std::string> decode(std::string_view text) {
  std::vector<std::uint8_t> bytes(base64_decoded_bound(text.size()));
  const auto size = base64_decode(text, bytes.data());
  if (!size) return std::nullopt;
  EXPECT_LE(*size, bytes.size());
  return std::string(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(*size));
}

// RFC 4648 section 10, without the padding.
TEST(Base64, EncodesTheVectorsOfTheRfcWithoutPadding) {
  EXPECT_EQ(encode(""), "");
  EXPECT_EQ(encode("f"), "Zg");
  EXPECT_EQ(encode("fo"), "Zm8");
  EXPECT_EQ(encode("foo"), "Zm9v");
  EXPECT_EQ(encode("foob"), "Zm9vYg");
  EXPECT_EQ(encode("fooba"), "Zm9vYmE");
  EXPECT_EQ(encode("foobar"), "Zm9vYmFy");
}

TEST(Base64, DecodesWithAndWithoutPadding) {
  EXPECT_EQ(decode(""), "");
  EXPECT_EQ(decode("Zg"), "f");
  EXPECT_EQ(decode("Zg=="), "f");
  EXPECT_EQ(decode("Zm8"), "fo");
  EXPECT_EQ(decode("Zm8="), "fo");
  EXPECT_EQ(decode("Zm9vYmFy"), "foobar");
}

TEST(Base64, RefusesWhatIsNotBase64) {
  EXPECT_EQ(decode("Z"), std::nullopt);
  EXPECT_EQ(decode("Zm9vY"), std::nullopt);
  EXPECT_EQ(decode("Zm 9"), std::nullopt);
  EXPECT_EQ(decode("Zm9-"), std::nullopt);
  EXPECT_EQ(decode("Z==="), std::nullopt);
  EXPECT_EQ(decode("===="), std::nullopt);
  EXPECT_EQ(decode("Zg=a"), std::nullopt);
  EXPECT_EQ(decode(std::string_view("Zg\0=", 4)), std::nullopt);
}

TEST(Base64, EveryByteOfEveryLengthComesBack) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(decode(encode(bytes)), bytes);
    bytes.push_back(static_cast<char>(i * 37));
  }
}

}  // namespace
}  // namespace plugind::wire
