#include "daemon/app/worker_count.h"

#include <gtest/gtest.h>

namespace plugind::app {
namespace {

TEST(WorkerCount, IsHalfOfTheProcessorsAndAtMostEight) {
  EXPECT_EQ(usual_workers(1), 1u);
  EXPECT_EQ(usual_workers(2), 1u);
  EXPECT_EQ(usual_workers(3), 1u);
  EXPECT_EQ(usual_workers(4), 2u);
  EXPECT_EQ(usual_workers(15), 7u);
  EXPECT_EQ(usual_workers(16), 8u);
  EXPECT_EQ(usual_workers(17), 8u);
  EXPECT_EQ(usual_workers(64), 8u);
}

TEST(WorkerCount, IsOneWhereTheSystemDoesNotTellTheProcessors) { EXPECT_EQ(usual_workers(0), 1u); }

TEST(WorkerCount, IsWhatTheOptionSays) {
  EXPECT_EQ(parse_workers("auto", 4), 2u);
  EXPECT_EQ(parse_workers("1", 64), 1u);
  EXPECT_EQ(parse_workers("64", 1), 64u);
}

TEST(WorkerCount, IsNothingForWhatIsNoNumberOrOutOfBounds) {
  for (const char* text :
       {"", "0", "65", "-1", "+1", "2x", " 2", "1.5", "Auto", "99999999999999999999"}) {
    EXPECT_EQ(parse_workers(text, 4), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace plugind::app
