#include "daemon/plugin/restart_policy.h"

#include <gtest/gtest.h>

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;

struct RestartPolicyTest : ::testing::Test {
  RestartPolicyTest() {
    manifest.restart_backoff = milliseconds(100);
    manifest.restart_backoff_max = milliseconds(350);
    manifest.restart_limit = 4;
    manifest.restart_window = milliseconds(10'000);
  }
  void fail_and_wait(milliseconds wait) {
    history.record(now, kNotReady, manifest);
    now += wait;
  }
  static constexpr milliseconds kNotReady{0};
  Manifest manifest;
  FailureHistory history;
  Clock::TimePoint now{std::chrono::hours(1)};
};

TEST_F(RestartPolicyTest, TheDelayDoublesUpToItsMaximum) {
  EXPECT_EQ(history.delay(now, manifest), milliseconds(0));
  history.record(now, kNotReady, manifest);
  EXPECT_EQ(history.delay(now, manifest), milliseconds(0));
  history.record(now, kNotReady, manifest);
  EXPECT_EQ(history.delay(now, manifest), milliseconds(100));
  history.record(now, kNotReady, manifest);
  EXPECT_EQ(history.delay(now, manifest), milliseconds(200));
  history.record(now, kNotReady, manifest);
  EXPECT_EQ(history.delay(now, manifest), milliseconds(350));
}

TEST_F(RestartPolicyTest, TimeThatHasPassedSinceTheFailureCounts) {
  fail_and_wait(milliseconds(0));
  fail_and_wait(milliseconds(60));
  EXPECT_EQ(history.delay(now, manifest), milliseconds(40));
  now += milliseconds(100);
  EXPECT_EQ(history.delay(now, manifest), milliseconds(0));
}

TEST_F(RestartPolicyTest, TheLimitCountsWithinTheWindowOnly) {
  for (int i = 0; i < 3; ++i) fail_and_wait(milliseconds(0));
  EXPECT_FALSE(history.limit_reached(now, manifest));
  fail_and_wait(milliseconds(10'000));
  EXPECT_TRUE(history.limit_reached(now, manifest));
  now += milliseconds(1);
  EXPECT_FALSE(history.limit_reached(now, manifest));
}

TEST_F(RestartPolicyTest, NoLimitMeansNoLimitAndBoundedMemory) {
  manifest.restart_limit = 0;
  for (int i = 0; i < 10'000; ++i) history.record(now, kNotReady, manifest);
  EXPECT_FALSE(history.limit_reached(now, manifest));
  EXPECT_LE(history.count(), 64u);
}

TEST_F(RestartPolicyTest, WhoRestartsByItself) {
  manifest.scope = Scope::kShared;
  manifest.restart_policy = RestartPolicy::kNever;
  EXPECT_FALSE(restarts_by_itself(manifest, true));
  manifest.restart_policy = RestartPolicy::kOnFailure;
  EXPECT_TRUE(restarts_by_itself(manifest, true));
  EXPECT_FALSE(restarts_by_itself(manifest, false));
  manifest.restart_policy = RestartPolicy::kAlways;
  EXPECT_TRUE(restarts_by_itself(manifest, false));
  manifest.scope = Scope::kHost;
  EXPECT_FALSE(restarts_by_itself(manifest, true)) << "its host asks again";
}

}  // namespace
}  // namespace plugind::plugin
