#include <gtest/gtest.h>

#include "daemon/plugin/manifest.h"

namespace plugind::plugin {
namespace {

using namespace std::chrono_literals;

TEST(QuantityTest, DurationsHaveUnits) {
  EXPECT_EQ(parse_duration("500ms").value(), 500ms);
  EXPECT_EQ(parse_duration("5s").value(), 5s);
  EXPECT_EQ(parse_duration("2m").value(), 2min);
  EXPECT_EQ(parse_duration("1h").value(), 1h);
  EXPECT_EQ(parse_duration("0s").value(), 0s);
  for (std::string_view bad : {"", "5", "s", "-5s", "+5s", " 5s", "5 s", "5s ", "1.5s", "5S",
                               "1h30m", "99999999999999999999s", "9999999999999999h"}) {
    EXPECT_FALSE(parse_duration(bad)) << bad;
  }
}

TEST(QuantityTest, SizesHaveUnits) {
  EXPECT_EQ(parse_size("512B").value(), 512u);
  EXPECT_EQ(parse_size("64KiB").value(), 64u << 10);
  EXPECT_EQ(parse_size("512MiB").value(), 512u << 20);
  EXPECT_EQ(parse_size("2GiB").value(), 2ull << 30);
  for (std::string_view bad : {"", "5", "KiB", "5KB", "5k", "-1B", "99999999999999GiB"}) {
    EXPECT_FALSE(parse_size(bad)) << bad;
  }
}

TEST(QuantityTest, ErrorsSayWhatToWrite) {
  EXPECT_EQ(parse_duration("5").error().message,
            "\"5\" has no unit; write it like \"500ms\", \"5s\", \"2m\" or \"1h\"");
  EXPECT_EQ(parse_size("5KB").error().message,
            "\"5KB\" is not a size: the unit \"KB\" is unknown; write it like \"512B\", \"64KiB\", "
            "\"512MiB\" or \"2GiB\"");
}

}  // namespace
}  // namespace plugind::plugin
