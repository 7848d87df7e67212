// Instances that nobody calls for a while.
#include <gtest/gtest.h>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;

class IdleTest : public SupervisorTest {
 protected:
  static Manifest lazy(const std::string& name) {
    Manifest m = manifest(name);
    m.stop_idle = milliseconds(4'000);
    return m;
  }
  bool gone(std::size_t process) const { return processes_.spawned[process]->gone(); }
};

TEST_F(IdleTest, AnInstanceThatNobodyCallsIsStoppedAndTheNextCallStartsOne) {
  apply(lazy("echo"));
  ASSERT_TRUE(call("echo")->ok());
  clock_.advance(milliseconds(3'999));
  EXPECT_FALSE(gone(0));
  clock_.advance(milliseconds(1'001));
  EXPECT_TRUE(gone(0));
  EXPECT_EQ(processes_.last().terminated, 1) << "it was asked to";
  EXPECT_EQ(events_.back().cause, "nobody called it for 4000 ms (stop.idle)");
  EXPECT_TRUE(supervisor_->crashes("echo")->empty());
  EXPECT_EQ(dialect_.starts, 1);
  const auto next = call("echo");
  ASSERT_TRUE(next->ok());
  EXPECT_EQ(next->instance().id(), "echo#2");
}

TEST_F(IdleTest, ThatIsNoEndThatARestartPolicyMends) {
  Manifest m = lazy("echo");
  m.restart_policy = RestartPolicy::kAlways;
  apply(std::move(m));
  ASSERT_TRUE(call("echo")->ok());
  clock_.advance(milliseconds(20'000));
  EXPECT_TRUE(gone(0));
  EXPECT_EQ(dialect_.starts, 1);
}

TEST_F(IdleTest, EveryCallStartsTheTimeAnew) {
  apply(lazy("echo"));
  const auto one = call("echo");
  for (int i = 0; i < 5; ++i) {
    clock_.advance(milliseconds(3'500));
    one->instance().call_started();
    one->instance().call_finished();
  }
  EXPECT_FALSE(gone(0));
  clock_.advance(milliseconds(5'000));
  EXPECT_TRUE(gone(0));
}

// As with a plugin whose server has a MaxConnectionAge.
TEST_F(IdleTest, ConnectionsThatAreReplacedMoreOftenDoNotKeepIt) {
  apply(lazy("echo"));
  ASSERT_TRUE(call("echo")->ok());
  for (int i = 0; i < 3; ++i) {
    clock_.advance(milliseconds(1'100));
    connector_.last().say_goodbye();
    testing::run_ready(loop_);
  }
  EXPECT_EQ(connector_.connections.size(), 4u);
  clock_.advance(milliseconds(699));
  EXPECT_FALSE(gone(0));
  clock_.advance(milliseconds(301));
  EXPECT_TRUE(gone(0));
  EXPECT_EQ(events_.back().cause, "nobody called it for 4000 ms (stop.idle)");
}

TEST_F(IdleTest, ACallJustBeforeANewConnectionStartsTheTimeAnew) {
  apply(lazy("echo"));
  const auto one = call("echo");
  clock_.advance(milliseconds(3'900));
  one->instance().call_started();
  one->instance().call_finished();
  connector_.last().say_goodbye();
  testing::run_ready(loop_);
  clock_.advance(milliseconds(3'999));
  EXPECT_FALSE(gone(0));
  clock_.advance(milliseconds(1'001));
  EXPECT_TRUE(gone(0));
}

TEST_F(IdleTest, ACallThatWaitsForANewConnectionKeepsIt) {
  apply(lazy("echo"));
  ASSERT_TRUE(call("echo")->ok());
  clock_.advance(milliseconds(3'900));
  connector_.last().fail();
  testing::run_ready(loop_);
  const auto waiting = call("echo");
  ASSERT_FALSE(waiting->value);
  clock_.advance(milliseconds(500));
  ASSERT_TRUE(waiting->ok());
  EXPECT_EQ(connector_.connections.size(), 2u);
  EXPECT_EQ(waiting->instance().id(), "echo#1");
  EXPECT_TRUE(waiting->instance().ready());
  clock_.advance(milliseconds(5'000));
  EXPECT_TRUE(gone(0)) << "it was not called after all";
}

TEST_F(IdleTest, AStreamThatStaysOpenKeepsIt) {
  apply(lazy("echo"));
  const auto one = call("echo");
  one->instance().call_started();
  clock_.advance(std::chrono::hours(1));
  EXPECT_FALSE(gone(0));
  one->instance().call_finished();
  clock_.advance(milliseconds(5'000));
  EXPECT_TRUE(gone(0));
}

TEST_F(IdleTest, WhatAnUpgradeKeepsInReserveStays) {
  apply(lazy("echo"));
  ASSERT_TRUE(call("echo")->ok());
  Manifest next = lazy("echo");
  next.version = "2.0.0";
  next.upgrade_probation = milliseconds(20'000);
  supervisor_->upgrade(std::move(next), [](auto) {});
  clock_.advance(milliseconds(19'000));
  EXPECT_FALSE(gone(0));
  EXPECT_TRUE(gone(1)) << "nobody called the new one";
  clock_.advance(milliseconds(5'000));
  EXPECT_TRUE(gone(0));
}

TEST_F(IdleTest, WithoutATimeItStays) {
  apply(manifest("echo"));
  ASSERT_TRUE(call("echo")->ok());
  clock_.advance(std::chrono::hours(24));
  EXPECT_FALSE(gone(0));
}

TEST_F(IdleTest, AHostsInstanceGoesButNotASpare) {
  Manifest m = lazy("kv");
  m.scope = Scope::kHost;
  m.spares = 1;
  apply(std::move(m));
  ASSERT_TRUE(call("kv", 7)->ok());
  clock_.advance(milliseconds(10));
  ASSERT_EQ(dialect_.starts, 2);
  clock_.advance(milliseconds(10'000));
  EXPECT_TRUE(gone(0));
  EXPECT_FALSE(gone(1));
  const auto next = call("kv", 7);
  ASSERT_TRUE(next->ok());
  EXPECT_EQ(next->instance().id(), "kv#2") << "the spare";
}

}  // namespace
}  // namespace plugind::plugin
