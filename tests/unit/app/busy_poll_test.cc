#include "daemon/app/busy_poll.h"

#include <gtest/gtest.h>

namespace plugind::app {
namespace {

using namespace std::chrono_literals;

/// So many of `sleeps` are preceded by a look, none of which finds anything.
int looks_in_vain(BusyPoll& poll, int sleeps, std::size_t calls) {
  int looks = 0;
  for (int i = 0; i < sleeps; ++i) {
    if (poll.before_sleep(calls) == 0us) continue;
    ++looks;
    poll.looked(false);
  }
  return looks;
}

TEST(BusyPoll, LooksWhileItFindsSomething) {
  BusyPoll poll(50us);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(poll.before_sleep(i % 2), 50us) << i;
    poll.looked(true);
  }
}

TEST(BusyPoll, NeverLooksWithSeveralCallsAtPlugins) {
  BusyPoll poll(50us);
  EXPECT_EQ(poll.before_sleep(2), 0us);
  EXPECT_EQ(poll.before_sleep(1000), 0us);
}

TEST(BusyPoll, DoesNotTakeAMomentWithFewCallsForTheirEnd) {
  BusyPoll poll(50us);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(poll.before_sleep(i % 20 == 0 ? 2 : 1), 0us) << i;
  }
  int sleeps = 0;
  while (poll.before_sleep(1) == 0us && sleeps < 1000) ++sleeps;
  EXPECT_LT(sleeps, 100);
}

TEST(BusyPoll, ZeroIsNever) {
  BusyPoll poll(0us);
  EXPECT_EQ(poll.before_sleep(0), 0us);
  EXPECT_EQ(poll.before_sleep(1), 0us);
}

TEST(BusyPoll, ASingleFailureDoesNotMatter) {
  BusyPoll poll(50us);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(poll.before_sleep(1), 50us) << i;
    poll.looked(i % 2 == 0);
  }
}

TEST(BusyPoll, LooksLessAndLessWhereItFindsNothing) {
  BusyPoll poll(50us);
  const int first = looks_in_vain(poll, 1000, 1);
  EXPECT_LE(first, 8);
  EXPECT_GE(first, 2);
  EXPECT_LE(looks_in_vain(poll, 100'000, 1), 32);
  // It never gives up altogether.
  EXPECT_GE(looks_in_vain(poll, 100'000, 1), 20);
}

TEST(BusyPoll, OneFindAfterAPauseIsEnough) {
  BusyPoll poll(50us);
  looks_in_vain(poll, 100, 1);
  int sleeps = 0;
  while (poll.before_sleep(1) == 0us) ++sleeps;
  EXPECT_GT(sleeps, 0);
  poll.looked(true);
  EXPECT_EQ(poll.before_sleep(1), 50us);
}

TEST(BusyPoll, TellsPluginsFromHosts) {
  BusyPoll poll(50us);
  looks_in_vain(poll, 100, 1);
  EXPECT_EQ(poll.before_sleep(1), 0us);
  EXPECT_EQ(poll.before_sleep(0), 50us);
}

}  // namespace
}  // namespace plugind::app
