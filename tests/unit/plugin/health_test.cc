// Instances that are asked how they are while they run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using testing::run_ready;

class HealthTest : public SupervisorTest {
 protected:
  static Manifest watched(const std::string& name) {
    Manifest m = manifest(name);
    m.health_interval = milliseconds(1'000);
    m.health_timeout = milliseconds(300);
    m.health_failures = 3;
    return m;
  }
  /// Its instance, started by a call.
  std::shared_ptr<Outcome> started(Manifest m) {
    const std::string name = m.name;
    apply(std::move(m));
    auto outcome = call(name);
    EXPECT_TRUE(outcome->ok());
    return outcome;
  }
};

TEST_F(HealthTest, IsAskedEveryIntervalWithItsTimeout) {
  started(watched("echo"));
  EXPECT_EQ(dialect_.probes, 0);
  clock_.advance(milliseconds(999));
  EXPECT_EQ(dialect_.probes, 0);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(dialect_.probes, 1);
  EXPECT_EQ(dialect_.probe_bound, milliseconds(300));
  clock_.advance(milliseconds(3'000));
  EXPECT_EQ(dialect_.probes, 4);
  EXPECT_EQ(processes_.last().killed, 0);
}

TEST_F(HealthTest, IsNotAskedWithoutAnInterval) {
  started(manifest("echo"));
  clock_.advance(std::chrono::hours(1));
  EXPECT_EQ(dialect_.probes, 0);
}

TEST_F(HealthTest, OneThatFailsOftenEnoughIsKilledAndReplaced) {
  const auto one = started(watched("echo"));
  const std::int64_t pid = processes_.last().pid;
  std::optional<Error> told;
  one->instance().explain_loss({}, [&](const Error& error) { told = error; });
  dialect_.ailment = "its health service says NOT_SERVING";
  clock_.advance(milliseconds(2'000));
  EXPECT_EQ(processes_.last().killed, 0);
  EXPECT_FALSE(told);
  clock_.advance(milliseconds(1'000));
  EXPECT_GT(processes_.spawned[0]->killed, 0);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginUnhealthy);
  EXPECT_EQ(told->message, "plugin 'echo' (pid " + std::to_string(pid) +
                               ") failed 3 health checks in a row and was killed: its health "
                               "service says NOT_SERVING");
  EXPECT_EQ(dialect_.starts, 2) << "by restart.policy";
  const auto reports = supervisor_->crashes("echo");
  ASSERT_TRUE(reports && reports->size() == 1);
  EXPECT_EQ(reports->front().reason, Reason::kPluginUnhealthy);
  EXPECT_TRUE(reports->front().killed);
}

TEST_F(HealthTest, OneThatRecoversInBetweenLives) {
  started(watched("echo"));
  for (int i = 0; i < 5; ++i) {
    dialect_.ailment = "its health service gives no answer within 300 ms";
    clock_.advance(milliseconds(2'000));
    dialect_.ailment.reset();
    clock_.advance(milliseconds(1'000));
  }
  EXPECT_EQ(dialect_.probes, 15);
  EXPECT_EQ(processes_.last().killed, 0);
}

TEST_F(HealthTest, ACallThatWaitsMeanwhileGetsTheNextOne) {
  Manifest m = watched("echo");
  m.health_failures = 1;
  started(std::move(m));
  processes_.spawned[0]->grandchildren = {4711};
  dialect_.ailment = "its health service says NOT_SERVING";
  dialect_.start_takes = milliseconds(500);
  clock_.advance(milliseconds(1'000));
  const auto next = call("echo");
  dialect_.ailment.reset();
  clock_.advance(milliseconds(500));
  ASSERT_TRUE(next->ok());
  EXPECT_EQ(next->instance().id(), "echo#2");
}

TEST_F(HealthTest, ItCountsTowardsTheCrashLoop) {
  Manifest m = watched("echo");
  m.health_failures = 1;
  m.restart_limit = 2;
  started(std::move(m));
  dialect_.ailment = "its health service says NOT_SERVING";
  clock_.advance(milliseconds(5'000));
  EXPECT_EQ(dialect_.starts, 2);
  const auto refused = call("echo");
  ASSERT_TRUE(refused->value && !*refused->value);
  EXPECT_EQ(refused->reason(), Reason::kCrashLoop);
  EXPECT_THAT(refused->value->error().message, HasSubstr("failed a health check and was killed"));
}

TEST_F(HealthTest, ALostConnectionIsNoFailure) {
  Manifest m = watched("echo");
  m.health_failures = 1;
  started(std::move(m));
  dialect_.probe_is_lost = true;
  clock_.advance(milliseconds(3'999));
  EXPECT_EQ(dialect_.probes, 3);
  EXPECT_EQ(processes_.last().killed, 0);
  dialect_.probe_is_lost = false;
  connector_.last().fail();
  clock_.advance(milliseconds(5'000));
  EXPECT_EQ(processes_.last().killed, 0);
  EXPECT_EQ(dialect_.starts, 1);
  EXPECT_GT(dialect_.probes, 5) << "over the new connection";
}

// As with a plugin whose server has a MaxConnectionAge.
TEST_F(HealthTest, IsAskedAsOftenWhenConnectionsAreReplacedMoreOften) {
  Manifest m = watched("echo");
  m.health_interval = milliseconds(5'000);
  started(std::move(m));
  for (int i = 0; i < 4; ++i) {
    clock_.advance(milliseconds(3'000));
    connector_.last().say_goodbye();
    run_ready(loop_);
  }
  clock_.advance(milliseconds(2'999));
  EXPECT_EQ(connector_.connections.size(), 5u);
  EXPECT_EQ(dialect_.probes, 2);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(dialect_.probes, 3);
}

TEST_F(HealthTest, FailuresInARowAreCountedOverConnections) {
  started(watched("echo"));
  dialect_.ailment = "its health service says NOT_SERVING";
  clock_.advance(milliseconds(2'500));
  connector_.last().say_goodbye();
  run_ready(loop_);
  EXPECT_EQ(connector_.connections.size(), 2u);
  clock_.advance(milliseconds(499));
  EXPECT_EQ(processes_.spawned[0]->killed, 0);
  clock_.advance(milliseconds(1));
  EXPECT_GT(processes_.spawned[0]->killed, 0);
}

TEST_F(HealthTest, ACheckThatALostConnectionCutOffIsMadeOnTheNext) {
  started(watched("echo"));
  dialect_.probe_is_lost = true;
  clock_.advance(milliseconds(1'000));
  dialect_.probe_is_lost = false;
  connector_.last().say_goodbye();
  run_ready(loop_);
  EXPECT_EQ(connector_.connections.size(), 2u);
  EXPECT_EQ(dialect_.probes, 2);
}

TEST_F(HealthTest, AStopDuringACheckStops) {
  started(watched("echo"));
  dialect_.ailment = "its health service says NOT_SERVING";
  clock_.advance(milliseconds(2'999));
  bool stopped = false;
  supervisor_->stop("echo", [&](auto) { stopped = true; });
  clock_.advance(milliseconds(1));
  EXPECT_TRUE(stopped);
  EXPECT_EQ(processes_.last().terminated, 1);
  EXPECT_TRUE(supervisor_->crashes("echo")->empty());
}

}  // namespace
}  // namespace plugind::plugin
