// Counts and places of calls, on one loop and on several.
#include "daemon/plugin/call_counts.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace plugind::plugin {
namespace {

TEST(CallCounts, AddUpWhatEachLaneCounted) {
  CallCounts counts(3);
  counts.started(0);
  counts.started(2);
  counts.started(2);
  counts.finished(2);
  EXPECT_EQ(counts.total(), 3u);
  EXPECT_EQ(counts.in_flight(), 2u);
}

TEST(CallCounts, NeverTellOfLessThanNone) {
  constexpr std::size_t kLanes = 3;
  constexpr std::uint64_t kCalls = 20'000;
  CallCounts counts(kLanes);
  std::atomic<std::size_t> running = kLanes;
  {
    std::vector<std::jthread> lanes;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      lanes.emplace_back([&, lane] {
        for (std::uint64_t i = 0; i < kCalls; ++i) {
          counts.started(lane);
          counts.finished(lane);
        }
        --running;
      });
    }
    while (running > 0) ASSERT_LE(counts.in_flight(), kLanes * kCalls);
  }
  EXPECT_EQ(counts.total(), kLanes * kCalls);
  EXPECT_EQ(counts.in_flight(), 0u);
}

TEST(CallPlaces, OfOneLaneAreExactlyAsManyAsAllowed) {
  LanePlaces places(std::make_shared<CallPlaces>(1'000, 1));
  for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(places.take());
  EXPECT_FALSE(places.take());
  places.give();
  EXPECT_TRUE(places.take());
  EXPECT_FALSE(places.take());
}

TEST(CallPlaces, OfASmallBoundAreNeverKeptByALane) {
  const auto all = std::make_shared<CallPlaces>(3, 4);
  LanePlaces one(all), other(all);
  ASSERT_TRUE(one.take() && one.take() && one.take());
  EXPECT_FALSE(other.take());
  one.give();
  EXPECT_TRUE(other.take());
  EXPECT_FALSE(one.take());
}

TEST(CallPlaces, OfALargeBoundAreKeptInSmallNumbers) {
  constexpr int kMost = 16'384;
  const auto all = std::make_shared<CallPlaces>(kMost, 4);
  {
    LanePlaces one(all), other(all);
    for (int i = 0; i < kMost; ++i) ASSERT_TRUE(one.take());
    EXPECT_FALSE(one.take());
    EXPECT_FALSE(other.take());
    for (int i = 0; i < kMost; ++i) one.give();
    int taken = 0;
    while (other.take()) ++taken;
    EXPECT_GE(taken, kMost - kMost / 16);
    EXPECT_LT(taken, kMost) << "or a lane keeps none, and shares with each call";
    for (int i = 0; i < taken; ++i) other.give();
  }
  LanePlaces after(all);
  for (int i = 0; i < kMost; ++i) ASSERT_TRUE(after.take()) << "lanes give back what they kept";
}

TEST(CallPlaces, AreNeverMoreThanAllowedWhoeverTakesThem) {
  constexpr std::size_t kLanes = 4;
  constexpr int kMost = 200;
  const auto all = std::make_shared<CallPlaces>(kMost, kLanes);
  std::atomic<int> taken = 0, over = 0;
  {
    std::vector<std::jthread> lanes;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      lanes.emplace_back([&] {
        LanePlaces places(all);
        for (int round = 0; round < 200; ++round) {
          int mine = 0;
          while (mine < 100 && places.take()) {
            ++mine;
            if (++taken > kMost) ++over;
          }
          for (; mine > 0; --mine) {
            --taken;
            places.give();
          }
        }
      });
    }
  }
  EXPECT_EQ(over, 0);
}

}  // namespace
}  // namespace plugind::plugin
