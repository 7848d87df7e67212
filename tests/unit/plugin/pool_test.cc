// Several instances of one plugin: how calls are spread over them, and wait for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::run_ready;
using ::testing::UnorderedElementsAre;

class PoolTest : public SupervisorTest {
 protected:
  using Call = std::shared_ptr<Outcome>;

  static Manifest pool(std::uint32_t instances, std::uint32_t calls_per_instance = 0) {
    Manifest m = manifest("kv");
    m.instances = instances;
    m.calls_per_instance = calls_per_instance;
    return m;
  }
  /// All of it runs, and no call is at it.
  void fill(Manifest m) {
    apply(std::move(m));
    bool done = false;
    supervisor_->start("kv", [&](const auto& outcome) { done = outcome.has_value(); });
    clock_.advance(milliseconds(100));
    ASSERT_TRUE(done);
  }
  std::string id(const Call& call) { return call->ok() ? call->instance().id() : "none"; }
  std::vector<std::string> ids(const std::vector<Call>& calls) {
    std::vector<std::string> result;
    for (const Call& call : calls) result.push_back(id(call));
    return result;
  }
  void end(Call& call) {
    call.reset();
    run_ready(loop_);
  }
  PluginStatus status() const { return *supervisor_->status("kv"); }
  std::size_t ready() const {
    const PluginStatus all = status();
    return static_cast<std::size_t>(std::ranges::count(
        all.instances, InstanceState::kReady, [](const InstanceStatus& one) { return one.state; }));
  }
};

TEST_F(PoolTest, TheFirstCallWaitsForOneAndTheOthersAreStartedOneByOne) {
  dialect_.start_takes = milliseconds(100);
  apply(pool(3));
  EXPECT_EQ(dialect_.starts, 0) << "nobody has asked for it";
  const Call first = call("kv");
  EXPECT_EQ(dialect_.starts, 1);
  clock_.advance(milliseconds(100));
  EXPECT_EQ(id(first), "kv#1");
  EXPECT_EQ(dialect_.starts, 1) << "not in the way of that call";
  clock_.advance(milliseconds(10));
  EXPECT_EQ(dialect_.starts, 2);
  const Call second = call("kv");
  EXPECT_EQ(id(second), "kv#1") << "the others are not ready yet";
  clock_.advance(milliseconds(10));
  EXPECT_EQ(dialect_.starts, 2) << "the second is not ready yet";
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(dialect_.starts, 3);
  EXPECT_EQ(ready(), 3u);
}

TEST_F(PoolTest, AStartIsDoneWhenAllAreReady) {
  dialect_.start_takes = milliseconds(100);
  apply(pool(2));
  bool done = false;
  supervisor_->start("kv", [&](const auto& outcome) { done = outcome.has_value(); });
  clock_.advance(milliseconds(110));
  EXPECT_EQ(ready(), 1u);
  bool also = false;
  supervisor_->start("kv", [&](const auto& outcome) { also = outcome.has_value(); });
  EXPECT_FALSE(done || also);
  clock_.advance(milliseconds(100));
  EXPECT_TRUE(done && also);
  done = false;
  supervisor_->start("kv", [&](const auto& outcome) { done = outcome.has_value(); });
  EXPECT_TRUE(done) << "they run";
  EXPECT_EQ(dialect_.starts, 2);
}

TEST_F(PoolTest, AStartFailsWithTheFirstThatDoesNotStart) {
  apply(pool(2));
  std::optional<Error> failure;
  supervisor_->start("kv", [&](const auto& outcome) {
    if (!outcome) failure = outcome.error();
  });
  run_ready(loop_);
  dialect_.next_error = make_error(Reason::kStartTimeout, "too slow");
  clock_.advance(milliseconds(10));
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->reason, Reason::kStartTimeout);
  EXPECT_EQ(ready(), 1u);
  clock_.advance(milliseconds(100));
  EXPECT_EQ(ready(), 2u) << "it is tried again by itself, as another one serves";
}

TEST_F(PoolTest, ACallGoesToTheInstanceWithTheFewest) {
  fill(pool(3));
  std::vector<Call> calls;
  for (int i = 0; i < 6; ++i) calls.push_back(call("kv"));
  EXPECT_THAT(ids(calls), UnorderedElementsAre("kv#1", "kv#1", "kv#2", "kv#2", "kv#3", "kv#3"));
  const std::string freed = id(calls[3]);
  end(calls[3]);
  calls[3] = call("kv");
  EXPECT_EQ(id(calls[3]), freed);
}

TEST_F(PoolTest, CallsOneByOneGoRound) {
  fill(pool(3));
  std::vector<std::string> seen;
  for (int i = 0; i < 4; ++i) seen.push_back(id(call("kv")));
  EXPECT_EQ(seen[0], seen[3]);
  seen.pop_back();
  EXPECT_THAT(seen, UnorderedElementsAre("kv#1", "kv#2", "kv#3"));
}

TEST_F(PoolTest, TheOldestCallGetsThePlaceThatBecomesFree) {
  fill(pool(2, 1));
  Call one = call("kv"), two = call("kv");
  ASSERT_THAT(ids({one, two}), UnorderedElementsAre("kv#1", "kv#2"));
  Call three = call("kv"), four = call("kv"), five = call("kv");
  EXPECT_FALSE(three->value);
  four.reset();  // It is not waited for any more.
  const std::string freed = id(two);
  end(two);
  EXPECT_EQ(id(three), freed);
  EXPECT_FALSE(five->value);
  end(one);
  EXPECT_TRUE(five->ok());
  EXPECT_EQ(status().instances.size(), 2u);
}

TEST_F(PoolTest, OneInstanceMayHaveABound) {
  apply(pool(1, 2));
  Call one = call("kv"), two = call("kv"), three = call("kv");
  EXPECT_TRUE(one->ok() && two->ok());
  EXPECT_FALSE(three->value);
  end(one);
  EXPECT_EQ(id(three), "kv#1");
}

TEST_F(PoolTest, EachHostsInstanceHasTheBound) {
  Manifest m = pool(1, 1);
  m.scope = Scope::kHost;
  apply(std::move(m));
  Call one = call("kv", 7), two = call("kv", 7), other = call("kv", 8);
  EXPECT_EQ(id(one), "kv#1");
  EXPECT_EQ(id(other), "kv#2");
  EXPECT_FALSE(two->value) << "its host's instance is busy, and another host's is not for it";
  end(other);
  EXPECT_FALSE(two->value);
  end(one);
  EXPECT_EQ(id(two), "kv#1");
}

TEST_F(PoolTest, TheQueueHasABound) {
  Manifest m = pool(1, 1);
  m.calls_queue = 1;
  apply(std::move(m));
  const Call one = call("kv"), two = call("kv"), three = call("kv");
  EXPECT_TRUE(one->ok());
  EXPECT_FALSE(two->value);
  ASSERT_TRUE(three->value && !three->ok());
  EXPECT_EQ(three->reason(), Reason::kQueueFull);
}

TEST_F(PoolTest, CallsThatComeTogetherDoNotWaitWhileInstancesHaveRoom) {
  Manifest m = pool(2, 3);
  m.calls_queue = 1;
  fill(std::move(m));
  std::vector<Plugin::Ticket> tickets;
  int served = 0, refused = 0;
  for (int i = 0; i < 8; ++i) {
    tickets.push_back(supervisor_->find("kv")->wait_instance(
        0, 1000, [&](const auto& outcome) { ++(outcome ? served : refused); }));
  }
  EXPECT_EQ(served + refused, 0) << "not from inside";
  run_ready(loop_);
  EXPECT_EQ(served, 6);
  EXPECT_EQ(refused, 1) << "one waits";
}

TEST_F(PoolTest, ANewCallDoesNotOvertakeOneThatWaits) {
  fill(pool(1, 1));
  Call one = call("kv"), two = call("kv");
  one.reset();  // Its place is free, and nobody has looked yet.
  bool overtaken = false;
  const auto ticket = supervisor_->find("kv")->wait_instance(
      0, 1000, [&](const auto& outcome) { overtaken = outcome.has_value(); });
  run_ready(loop_);
  EXPECT_TRUE(two->ok());
  EXPECT_FALSE(overtaken);
}

TEST_F(PoolTest, AWaitHasABound) {
  Manifest m = pool(1, 1);
  m.calls_queue_timeout = milliseconds(2'000);
  apply(std::move(m));
  Call one = call("kv");
  Call two = call("kv");
  clock_.advance(milliseconds(1'500));
  Call three = call("kv");
  clock_.advance(milliseconds(499));
  EXPECT_FALSE(two->value);
  clock_.advance(milliseconds(1));
  ASSERT_TRUE(two->value && !two->ok());
  EXPECT_EQ(two->reason(), Reason::kQueueTimeout);
  EXPECT_EQ(two->value->error().message,
            "the call has waited for an instance of plugin 'kv' for 2000 ms "
            "(calls.queue_timeout). 1 is ready, and has 1 call already (calls.per_instance).");
  EXPECT_FALSE(three->value);
  end(one);
  EXPECT_TRUE(three->ok());
  // The next that waits is watched, too, also when nobody has waited for a time.
  clock_.advance(milliseconds(5'000));
  Call four = call("kv");
  clock_.advance(milliseconds(2'000));
  ASSERT_TRUE(four->value);
  EXPECT_EQ(four->reason(), Reason::kQueueTimeout);
}

TEST_F(PoolTest, AWaitForAStartHasTheSameBound) {
  dialect_.start_takes = milliseconds(5'000);
  Manifest m = pool(1);
  m.calls_queue_timeout = milliseconds(1'000);
  apply(std::move(m));
  const Call one = call("kv");
  clock_.advance(milliseconds(1'000));
  ASSERT_TRUE(one->value && !one->ok());
  EXPECT_EQ(one->reason(), Reason::kQueueTimeout);
  EXPECT_THAT(one->value->error().message, HasSubstr("None is ready"));
  clock_.advance(milliseconds(4'000));
  EXPECT_TRUE(call("kv")->ok()) << "the start went on";
}

TEST_F(PoolTest, AWaitThatAReloadMovesKeepsItsBound) {
  Manifest m = pool(1, 1);
  m.calls_queue_timeout = milliseconds(2'000);
  apply(m);
  const Call one = call("kv"), two = call("kv");
  clock_.advance(milliseconds(1'000));
  dialect_.start_takes = milliseconds(5'000);
  m.version = "2";
  apply(std::move(m));
  clock_.advance(milliseconds(1'000));
  ASSERT_TRUE(two->value && !two->ok());
  EXPECT_EQ(two->reason(), Reason::kQueueTimeout);
}

TEST_F(PoolTest, OneThatDiesIsReplacedWhileTheOthersServe) {
  fill(pool(2));
  const Call one = call("kv");
  processes_.spawned.front()->die(SIGKILL);
  run_ready(loop_);
  EXPECT_EQ(ready(), 1u);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(id(call("kv")), "kv#2");
  EXPECT_EQ(dialect_.starts, 2) << "after the backoff";
  clock_.advance(milliseconds(100));
  EXPECT_EQ(ready(), 2u);
  std::vector<std::string> seen{id(call("kv")), id(call("kv"))};
  EXPECT_THAT(seen, UnorderedElementsAre("kv#2", "kv#3"));
}

TEST_F(PoolTest, AnUnhealthyOneIsReplaced) {
  Manifest m = pool(2);
  m.health_interval = milliseconds(1'000);
  m.health_failures = 1;
  fill(std::move(m));
  dialect_.ailment = "NOT_SERVING";
  clock_.advance(milliseconds(900));
  // Both have failed a check now or will; whoever comes next is well.
  clock_.advance(milliseconds(150));
  dialect_.ailment.reset();
  clock_.advance(milliseconds(2'000));
  EXPECT_EQ(ready(), 2u);
  const PluginStatus after = status();
  EXPECT_THAT((std::vector{after.instances[0].id, after.instances[1].id}),
              UnorderedElementsAre("kv#3", "kv#4"));
}

TEST_F(PoolTest, CallsThatWaitGoOnWithTheNextWhenTheirInstanceDies) {
  fill(pool(1, 1));
  Call one = call("kv"), two = call("kv");
  EXPECT_FALSE(two->value);
  processes_.last().die(SIGKILL);
  run_ready(loop_);
  EXPECT_EQ(id(two), "kv#2");
  end(one);  // Its place was at an instance that is gone.
  Call three = call("kv");
  EXPECT_FALSE(three->value);
  end(two);
  EXPECT_EQ(id(three), "kv#2");
}

TEST_F(PoolTest, WhoWaitsIsNotToldOfTheFailureOfOneWhileAnotherServes) {
  fill(pool(2, 1));
  Call one = call("kv"), two = call("kv"), three = call("kv");
  dialect_.next_error = make_error(Reason::kStartTimeout, "too slow");
  processes_.spawned[id(two) == "kv#1" ? 0 : 1]->die(SIGKILL);
  clock_.advance(milliseconds(10));
  EXPECT_EQ(dialect_.starts, 3) << "which has failed";
  EXPECT_FALSE(three->value);
  end(one);
  EXPECT_TRUE(three->ok());
}

TEST_F(PoolTest, ACrashLoopLeavesTheOthersToServe) {
  fill(pool(2, 1));
  Call one = call("kv");
  ASSERT_EQ(id(one), "kv#1");
  for (int i = 0; i < 2; ++i) {
    processes_.last().die(SIGSEGV);
    clock_.advance(milliseconds(1'000));
  }
  const Call two = call("kv"), waits = call("kv");
  processes_.last().die(SIGSEGV);
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(dialect_.starts, 4);
  EXPECT_TRUE(status().crash_loop);
  EXPECT_FALSE(waits->value) << "one serves";
  end(one);
  EXPECT_EQ(id(waits), "kv#1");
  const Call next = call("kv");
  clock_.advance(milliseconds(5'000));
  EXPECT_EQ(dialect_.starts, 4) << "not started again by itself";
  supervisor_->start("kv", [](const auto&) {});
  clock_.advance(milliseconds(100));
  EXPECT_EQ(ready(), 2u);
  EXPECT_TRUE(next->ok());
}

TEST_F(PoolTest, WithStopIdleThereAreAsManyAsAreNeeded) {
  Manifest m = pool(3);
  m.stop_idle = milliseconds(60'000);
  apply(std::move(m));
  Call one = call("kv");
  clock_.advance(milliseconds(100));
  EXPECT_EQ(ready(), 1u);
  Call two = call("kv");
  EXPECT_EQ(id(two), "kv#1") << "it does not wait for another";
  clock_.advance(milliseconds(100));
  EXPECT_EQ(ready(), 2u) << "as every one had a call";
  Call three = call("kv");
  EXPECT_EQ(id(three), "kv#2");
  clock_.advance(milliseconds(100));
  end(one), end(two), end(three);
  EXPECT_EQ(dialect_.starts, 2) << "the last one found an instance without a call";
  for (int i = 0; i < 5; ++i) EXPECT_EQ(id(call("kv")), "kv#1") << "the other may go";
  // Each of them counts as used for as long as calls began on it.
  for (int quarter = 0; quarter < 8; ++quarter) {
    Call again = call("kv");
    again->instance().call_started();
    again->instance().call_finished();
    clock_.advance(milliseconds(15'000));
  }
  EXPECT_EQ(ready(), 1u);
  EXPECT_EQ(id(call("kv")), "kv#1");
}

TEST_F(PoolTest, AnUpgradeHasAllOfTheNewOnesBeforeTheSwitch) {
  fill(pool(2, 1));
  dialect_.start_takes = milliseconds(100);
  Manifest next = pool(2, 1);
  next.version = "2";
  next.upgrade_probation = milliseconds(1'000);
  std::optional<bool> upgraded;
  supervisor_->upgrade(next, [&](const auto& outcome) { upgraded = outcome.has_value(); });
  clock_.advance(milliseconds(110));
  EXPECT_THAT(id(call("kv")), ::testing::AnyOf("kv#1", "kv#2"));
  clock_.advance(milliseconds(100));
  std::vector<Call> calls{call("kv"), call("kv")};
  EXPECT_THAT(ids(calls), UnorderedElementsAre("kv#3", "kv#4"));
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(upgraded, true);
  EXPECT_EQ(processes_.living(), 2u);
}

TEST_F(PoolTest, ARollBackGivesAllOfThemTheirCallsBack) {
  fill(pool(2, 1));
  Manifest next = pool(2, 1);
  next.version = "2";
  next.upgrade_probation = milliseconds(1'000);
  std::optional<bool> upgraded;
  supervisor_->upgrade(next, [&](const auto& outcome) { upgraded = outcome.has_value(); });
  clock_.advance(milliseconds(100));
  std::vector<Call> calls{call("kv"), call("kv"), call("kv")};
  EXPECT_THAT(ids(calls), ElementsAre("kv#3", "kv#4", "none"));
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  EXPECT_EQ(upgraded, false);
  EXPECT_EQ(id(calls[2]), "kv#1") << "who waited goes on";
  EXPECT_EQ(id(call("kv")), "kv#2");
}

TEST_F(PoolTest, ARollBackMakesUpForThoseThatDiedInReserve) {
  fill(pool(2));
  Manifest next = pool(2);
  next.version = "2";
  next.upgrade_probation = milliseconds(1'000);
  std::optional<bool> upgraded;
  supervisor_->upgrade(next, [&](const auto& outcome) { upgraded = outcome.has_value(); });
  clock_.advance(milliseconds(100));
  processes_.spawned[0]->die(SIGKILL);
  run_ready(loop_);
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  EXPECT_EQ(upgraded, false);
  EXPECT_EQ(id(call("kv")), "kv#2");
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(ready(), 2u);
}

TEST_F(PoolTest, ACallMayEndWhenItsPluginIsLongGone) {
  fill(pool(1, 1));
  Call one = call("kv");
  supervisor_->apply({});
  settle();
  ASSERT_EQ(processes_.living(), 0u);
  end(one);
}

TEST_F(PoolTest, AStopAnswersWhoWaits) {
  fill(pool(1, 1));
  const Call one = call("kv"), two = call("kv");
  supervisor_->stop("kv", [](const auto&) {});
  run_ready(loop_);
  ASSERT_TRUE(two->value && !two->ok());
  EXPECT_EQ(two->reason(), Reason::kPluginStopped);
}

}  // namespace
}  // namespace plugind::plugin
