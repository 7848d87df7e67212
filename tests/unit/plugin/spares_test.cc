// Instances for hosts that are still to come, and how many there may be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using testing::run_ready;

class SparesTest : public SupervisorTest {
 protected:
  static Manifest with_spares(std::uint32_t spares) {
    Manifest m = manifest("kv");
    m.scope = Scope::kHost;
    m.spares = spares;
    return m;
  }
  PluginStatus status() const { return *supervisor_->status("kv"); }
  std::size_t ready_spares() const {
    const PluginStatus all = status();
    return static_cast<std::size_t>(std::ranges::count_if(
        all.instances,
        [](const InstanceStatus& one) { return one.spare && one.state == InstanceState::kReady; }));
  }
};

TEST_F(SparesTest, AreStartedOnceThePluginIsInUseOneAfterTheOther) {
  apply(with_spares(2));
  clock_.advance(milliseconds(10'000));
  EXPECT_EQ(dialect_.starts, 0) << "nobody has asked for it";
  dialect_.start_takes = milliseconds(100);
  const auto first = call("kv", 7);
  clock_.advance(milliseconds(100));
  ASSERT_TRUE(first->ok());
  EXPECT_EQ(dialect_.starts, 2) << "the host's own, and the first spare";
  call("kv", 7);
  clock_.advance(milliseconds(10));
  EXPECT_EQ(dialect_.starts, 2) << "which is not ready yet";
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(dialect_.starts, 3);
  EXPECT_EQ(ready_spares(), 2u);
}

TEST_F(SparesTest, ANewHostGetsOneAtOnceAndItIsMadeUpFor) {
  apply(with_spares(1));
  call("kv", 7);
  clock_.advance(milliseconds(10));
  ASSERT_EQ(ready_spares(), 1u);
  dialect_.start_takes = milliseconds(5'000);
  const auto second = call("kv", 8);
  ASSERT_TRUE(second->ok()) << "without a start";
  EXPECT_EQ(second->instance().id(), "kv#2");
  EXPECT_EQ(second->instance().status().host_pid, 1008);
  EXPECT_EQ(dialect_.starts, 2) << "not in the way of that call";
  clock_.advance(milliseconds(10));
  EXPECT_EQ(dialect_.starts, 3);
  clock_.advance(milliseconds(5'000));
  EXPECT_EQ(ready_spares(), 1u);
}

TEST_F(SparesTest, AReadyOneIsPreferredToOneThatStarts) {
  apply(with_spares(2));
  call("kv", 7);
  clock_.advance(milliseconds(10));
  dialect_.start_takes = milliseconds(5'000);
  clock_.advance(milliseconds(10));
  ASSERT_EQ(dialect_.starts, 3);
  EXPECT_TRUE(call("kv", 8)->ok());
  EXPECT_FALSE(call("kv", 9)->ok()) << "waits for the one that starts";
  EXPECT_EQ(dialect_.starts, 3);
}

TEST_F(SparesTest, OneThatDiesIsReplaced) {
  apply(with_spares(1));
  call("kv", 7);
  clock_.advance(milliseconds(10));
  ASSERT_EQ(ready_spares(), 1u);
  processes_.spawned[1]->die(SIGSEGV);
  clock_.advance(milliseconds(10));
  EXPECT_EQ(ready_spares(), 1u);
  EXPECT_EQ(dialect_.starts, 3);
}

TEST_F(SparesTest, ThoseThatFailTooOftenAreGivenUpAndHostsStartTheirOwn) {
  apply(with_spares(1));
  ASSERT_TRUE(call("kv", 7)->ok());
  for (const int pause : {10, 10, 100}) {  // The second has no backoff yet.
    dialect_.next_error = make_error(Reason::kStartExited, "it ended with exit code 3");
    clock_.advance(milliseconds(pause));
  }
  EXPECT_EQ(dialect_.starts, 4);
  clock_.advance(milliseconds(60'000));
  EXPECT_EQ(dialect_.starts, 4) << "restart.limit";
  EXPECT_TRUE(status().crash_loop);
  EXPECT_TRUE(call("kv", 8)->ok());
  EXPECT_EQ(dialect_.starts, 5);
}

TEST_F(SparesTest, StopTakesThemAndStartBringsThemBack) {
  apply(with_spares(2));
  call("kv", 7);
  clock_.advance(milliseconds(100));
  ASSERT_EQ(ready_spares(), 2u);
  supervisor_->stop("kv", [](auto) {});
  clock_.advance(milliseconds(10'000));
  EXPECT_EQ(processes_.living(), 0u);
  EXPECT_EQ(dialect_.starts, 3);
  bool started = false;
  supervisor_->start("kv", [&](const auto& outcome) { started = outcome.has_value(); });
  run_ready(loop_);
  EXPECT_TRUE(started) << "with the first of them";
  clock_.advance(milliseconds(100));
  EXPECT_EQ(ready_spares(), 2u);
}

TEST_F(SparesTest, AStopForgetsOneThatWasToStart) {
  apply(with_spares(2));
  call("kv", 7);
  for (int i = 0; i < 2; ++i) {
    dialect_.next_error = make_error(Reason::kStartExited, "it ended with exit code 3");
    clock_.advance(milliseconds(10));
  }
  ASSERT_EQ(dialect_.starts, 3) << "the next is to start after restart.backoff";
  supervisor_->stop("kv", [](auto) {});
  run_ready(loop_);
  dialect_.start_takes = milliseconds(5'000);
  supervisor_->start("kv", [](auto) {});
  run_ready(loop_);
  EXPECT_EQ(dialect_.starts, 4);
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(dialect_.starts, 4) << "one after the other";
}

TEST_F(SparesTest, ThoseOfABootPluginStartWithTheDaemon) {
  Manifest m = with_spares(2);
  m.start_mode = StartMode::kBoot;
  apply(std::move(m));
  clock_.advance(milliseconds(100));
  EXPECT_EQ(ready_spares(), 2u);
}

TEST_F(SparesTest, AReloadExchangesThem) {
  apply(with_spares(1));
  call("kv", 7);
  clock_.advance(milliseconds(10));
  Manifest changed = with_spares(1);
  changed.version = "2.0.0";
  apply(std::move(changed));
  clock_.advance(milliseconds(10'000));
  EXPECT_EQ(processes_.living(), 1u) << "the new spare; the host's own was drained and stopped";
  EXPECT_EQ(ready_spares(), 1u);
  const auto next = call("kv", 8);
  ASSERT_TRUE(next->ok());
  EXPECT_EQ(next->instance().manifest().version, "2.0.0");
}

TEST_F(SparesTest, AnUpgradeTakesTheOldOnesAndARollBackBringsSomeBack) {
  apply(with_spares(1));
  call("kv", 7);
  clock_.advance(milliseconds(10));
  Manifest next = with_spares(1);
  next.version = "2.0.0";
  next.upgrade_probation = milliseconds(10'000);
  std::optional<std::expected<PluginStatus, Error>> outcome;
  supervisor_->upgrade(std::move(next), [&](auto result) { outcome = std::move(result); });
  clock_.advance(milliseconds(100));
  EXPECT_EQ(dialect_.starts, 3);
  EXPECT_EQ(ready_spares(), 1u) << "the one that was tried";
  processes_.last().die(SIGSEGV);
  clock_.advance(milliseconds(100));
  ASSERT_TRUE(outcome && !*outcome);
  EXPECT_EQ(ready_spares(), 1u);
  EXPECT_EQ(call("kv", 8)->instance().manifest().version, "1.0.0");
}

TEST_F(SparesTest, OneHostTooManyIsRefusedUntilAnotherHasGone) {
  Manifest m = with_spares(0);
  m.max_instances = 2;
  m.host_linger = milliseconds(1'000);
  apply(std::move(m));
  ASSERT_TRUE(call("kv", 1)->ok());
  ASSERT_TRUE(call("kv", 2)->ok());
  bool told = false;
  const auto ticket = supervisor_->find("kv")->wait_instance(3, 1003, [&](auto) { told = true; });
  EXPECT_FALSE(told) << "never from inside";
  const auto third = call("kv", 3);
  EXPECT_TRUE(told);
  ASSERT_TRUE(third->value && !*third->value);
  EXPECT_EQ(third->reason(), Reason::kTooManyInstances);
  EXPECT_THAT(third->value->error().message,
              HasSubstr("plugin 'kv' has 2 instances, as many as max_instances allows"));
  EXPECT_TRUE(call("kv", 2)->ok()) << "who has one keeps it";
  supervisor_->host_gone(1);
  clock_.advance(milliseconds(1'000));
  EXPECT_TRUE(call("kv", 3)->ok());
}

TEST_F(SparesTest, CountTowardsTheBound) {
  Manifest m = with_spares(2);
  m.max_instances = 2;
  apply(std::move(m));
  ASSERT_TRUE(call("kv", 1)->ok());
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(dialect_.starts, 2);
  EXPECT_TRUE(call("kv", 2)->ok()) << "the spare is for a host";
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(dialect_.starts, 2);
  EXPECT_EQ(call("kv", 3)->reason(), Reason::kTooManyInstances);
}

TEST_F(SparesTest, AHostIsQuickerThanASpareThatIsStillToStart) {
  Manifest m = with_spares(1);
  m.max_instances = 2;
  apply(std::move(m));
  ASSERT_TRUE(call("kv", 1)->ok());
  ASSERT_TRUE(call("kv", 2)->ok());
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(dialect_.starts, 2);
}

TEST_F(SparesTest, APluginThatWasStoppedHasNoneAfterAReloadEither) {
  apply(with_spares(1));
  call("kv", 7);
  supervisor_->stop("kv", [](auto) {});
  clock_.advance(milliseconds(10'000));
  ASSERT_EQ(processes_.living(), 0u);
  Manifest changed = with_spares(1);
  changed.version = "2.0.0";
  apply(std::move(changed));
  clock_.advance(milliseconds(10'000));
  EXPECT_EQ(processes_.living(), 0u);
}

TEST_F(SparesTest, APlaceThatIsFreeAgainGoesToASpare) {
  Manifest m = with_spares(1);
  m.max_instances = 2;
  apply(std::move(m));
  ASSERT_TRUE(call("kv", 1)->ok());
  clock_.advance(milliseconds(10));
  ASSERT_TRUE(call("kv", 2)->ok());
  clock_.advance(milliseconds(10));
  ASSERT_EQ(ready_spares(), 0u);
  supervisor_->host_gone(1);
  clock_.advance(milliseconds(5'000));
  EXPECT_EQ(ready_spares(), 1u);
}

TEST_F(SparesTest, AStartByAnOperatorIsRefusedOverTheBound) {
  Manifest m = with_spares(0);
  m.max_instances = 1;
  apply(std::move(m));
  ASSERT_TRUE(call("kv", 1)->ok());
  std::optional<std::expected<PluginStatus, Error>> started;
  supervisor_->start("kv", [&](auto status) { started = std::move(status); });
  run_ready(loop_);
  ASSERT_TRUE(started && !*started);
  EXPECT_EQ(started->error().reason, Reason::kTooManyInstances);
}

TEST_F(SparesTest, ARestartAfterABackoffKeepsTheBound) {
  Manifest m = with_spares(0);
  m.max_instances = 1;
  apply(std::move(m));
  ASSERT_TRUE(call("kv", 1)->ok());
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  ASSERT_TRUE(call("kv", 1)->ok());
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  const auto waiting = call("kv", 1);
  ASSERT_FALSE(waiting->value) << "for restart.backoff";
  ASSERT_TRUE(call("kv", 2)->ok()) << "takes the place meanwhile";
  clock_.advance(milliseconds(100));
  ASSERT_TRUE(waiting->value && !*waiting->value);
  EXPECT_EQ(waiting->reason(), Reason::kTooManyInstances);
}

TEST_F(SparesTest, APauseBeforeARestartIsShorterByChance) {
  apply(manifest("echo"));
  random_ = 0.5;
  ASSERT_TRUE(call("echo")->ok());
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  ASSERT_EQ(dialect_.starts, 2);
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  clock_.advance(milliseconds(87));
  EXPECT_EQ(dialect_.starts, 2);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(dialect_.starts, 3) << "100 ms less half of a quarter";
}

TEST_F(SparesTest, AStartIsDoneThoughAHostTookTheSpareMeanwhile) {
  dialect_.start_takes = milliseconds(100);
  apply(with_spares(0));
  std::optional<bool> started;
  supervisor_->start("kv", [&](const auto& outcome) { started = outcome.has_value(); });
  run_ready(loop_);
  const auto host = call("kv", 7);
  EXPECT_EQ(dialect_.starts, 1) << "it has taken the spare that starts";
  clock_.advance(milliseconds(100));
  EXPECT_TRUE(host->ok());
  EXPECT_EQ(started, true);
}

TEST_F(SparesTest, AStartIsToldOfTheFailureOfASpareThatAHostTook) {
  dialect_.start_takes = milliseconds(100);
  dialect_.next_error = make_error(Reason::kStartTimeout, "too slow");
  apply(with_spares(0));
  std::optional<bool> started;
  supervisor_->start("kv", [&](const auto& outcome) { started = outcome.has_value(); });
  run_ready(loop_);
  const auto host = call("kv", 7);
  clock_.advance(milliseconds(100));
  EXPECT_FALSE(host->ok());
  EXPECT_EQ(started, false);
}

TEST_F(SparesTest, AConnectionHasItsOwnAndItEndsAtOnceWithIt) {
  Manifest m = with_spares(1);
  m.scope = Scope::kConnection;
  m.host_linger = milliseconds(60'000);
  apply(std::move(m));
  call("kv", 7);
  clock_.advance(milliseconds(10));
  EXPECT_EQ(ready_spares(), 1u);
  EXPECT_EQ(call("kv", 8)->instance().id(), "kv#2");
  clock_.advance(milliseconds(10));
  supervisor_->host_gone(7);
  run_ready(loop_);
  EXPECT_FALSE(processes_.spawned[0]->alive());
  EXPECT_TRUE(processes_.spawned[1]->alive());
  EXPECT_EQ(ready_spares(), 1u);
}

TEST_F(SparesTest, AStartIsAnsweredThoughTheHostThatTookTheSpareHasGone) {
  dialect_.start_takes = milliseconds(100);
  Manifest m = with_spares(0);
  m.scope = Scope::kConnection;
  apply(std::move(m));
  std::optional<bool> started;
  supervisor_->start("kv", [&](const auto& outcome) { started = outcome.has_value(); });
  run_ready(loop_);
  call("kv", 7);
  supervisor_->host_gone(7);
  clock_.advance(milliseconds(100));
  EXPECT_EQ(started, false);
}

TEST_F(SparesTest, AConnectionMayCloseWhileItsCallsAreAnswered) {
  dialect_.start_takes = milliseconds(100);
  dialect_.next_error = make_error(Reason::kStartTimeout, "too slow");
  Manifest m = with_spares(0);
  m.scope = Scope::kConnection;
  apply(std::move(m));
  int answers = 0;
  // As a write does that finds the connection closed.
  const auto closes = [&](const auto&) {
    ++answers;
    supervisor_->host_gone(7);
  };
  const auto first = supervisor_->find("kv")->wait_instance(7, 1007, closes);
  const auto second = supervisor_->find("kv")->wait_instance(7, 1007, closes);
  clock_.advance(milliseconds(100));
  EXPECT_EQ(answers, 2);
  EXPECT_FALSE(supervisor_->status("kv")->instances.size());
}

TEST_F(SparesTest, WhoCallsAfterItsHostSaidThatItIsDoneIsToldSo) {
  dialect_.start_takes = milliseconds(1'000);
  Manifest m = with_spares(0);
  m.scope = Scope::kConnection;
  apply(std::move(m));
  const auto waits = call("kv", 7);
  EXPECT_FALSE(waits->value);
  supervisor_->host_gone(7);
  run_ready(loop_);
  ASSERT_TRUE(waits->value && !waits->ok());
  EXPECT_EQ(waits->reason(), Reason::kPluginStopped);
}

}  // namespace
}  // namespace plugind::plugin
