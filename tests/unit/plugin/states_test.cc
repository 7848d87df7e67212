// The states of a plugin that has no instance, and the rarer ways of instances.  Every test of this
// program checks each step of an instance against the table: see the fixture.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using testing::run_ready;
using enum InstanceState;

class StatesTest : public SupervisorTest {
 protected:
  void crash() {
    processes_.last().die(SIGKILL);
    run_ready(loop_);
  }
  /// The plugin's own events since the last time.
  std::vector<Event> of_plugin() {
    std::vector<Event> found;
    for (; seen_ < events_.size(); ++seen_) {
      const Event& event = events_[seen_];
      if (event.kind == Event::Kind::kState && event.instance.empty()) found.push_back(event);
    }
    return found;
  }
  InstanceState state() const { return supervisor_->status("text")->state; }
  void stop() {
    supervisor_->stop("text", [](auto) {});
    run_ready(loop_);
  }
  /// Expects one event of the plugin's own, which is what its status says, too.
  void expect_told(InstanceState expected, const std::string& cause) {
    const auto told = of_plugin();
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told.front().state, expected) << to_string(told.front().state);
    EXPECT_NE(told.front().cause.find(cause), std::string::npos) << told.front().cause;
    EXPECT_EQ(told.front().time, clock_.wall_now());
    const auto status = supervisor_->status("text");
    EXPECT_EQ(status->state, expected);
    EXPECT_EQ(status->cause, told.front().cause);
    EXPECT_EQ(status->since, told.front().time);
  }
  /// Until it is in backoff.
  void fail_twice() {
    ASSERT_TRUE(call("text")->ok());
    crash();
    crash();
  }
  /// Until nothing starts it by itself any more.
  void fail_for_good() {
    fail_twice();
    clock_.advance(milliseconds(100));
    crash();
  }

 private:
  std::size_t seen_ = 0;
};

TEST_F(StatesTest, ABackoffIsToldAndEndsWithAStart) {
  apply(manifest("text"));
  fail_twice();
  expect_told(kBackoff, "starts again in 100 ms");
  clock_.advance(milliseconds(100));
  EXPECT_TRUE(of_plugin().empty());
  EXPECT_EQ(state(), kReady);
}

TEST_F(StatesTest, AStopInABackoffIsTold) {
  apply(manifest("text"));
  fail_twice();
  of_plugin();
  clock_.advance(milliseconds(1));
  stop();
  expect_told(kStopped, "operator");
  const int before = dialect_.starts;
  clock_.advance(milliseconds(1'000'000));
  EXPECT_EQ(dialect_.starts, before);
}

TEST_F(StatesTest, ACrashLoopIsToldAndAStopOfItToo) {
  apply(manifest("text"));
  fail_twice();
  of_plugin();
  clock_.advance(milliseconds(100));
  crash();
  expect_told(kFailed, "failed 3 times");
  clock_.advance(milliseconds(1));
  stop();
  expect_told(kStopped, "operator");
  EXPECT_FALSE(supervisor_->status("text")->crash_loop);
  EXPECT_EQ(call("text")->reason(), Reason::kPluginStopped);
  stop();
  EXPECT_TRUE(of_plugin().empty()) << "it was stopped before";
}

TEST_F(StatesTest, AStopOfAnInstanceIsToldOfThatOne) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  stop();
  EXPECT_TRUE(of_plugin().empty());
  EXPECT_EQ(state(), kStopped);
}

TEST_F(StatesTest, APluginThatIsGreetedIsShownWithItsProcess) {
  dialect_.greeting_takes = milliseconds(50);
  apply(manifest("text"));
  const auto waiting = call("text");
  const auto starting = supervisor_->status("text");
  ASSERT_EQ(starting->instances.size(), 1u);
  EXPECT_EQ(starting->instances.front().state, kStarting);
  EXPECT_EQ(starting->instances.front().pid, processes_.last().pid);
  clock_.advance(milliseconds(50));
  ASSERT_TRUE(waiting->ok());
  EXPECT_EQ(supervisor_->status("text")->instances.front().pid, processes_.last().pid);
}

TEST_F(StatesTest, AStartThatIsGivenUpShowsNoProcess) {
  dialect_.greeting_takes = milliseconds(50);
  apply(manifest("text"));
  const auto waiting = call("text");
  // While it tells that it has stopped it is still in the status.
  std::vector<std::int64_t> shown;
  const auto watch = supervisor_->events().watch([&](const Event& event) {
    if (event.state != kStopped || event.instance.empty()) return;
    const auto status = supervisor_->status("text");
    for (const auto& instance : status->instances) shown.push_back(instance.pid);
  });
  stop();
  ASSERT_TRUE(waiting->value);
  EXPECT_EQ(shown, std::vector<std::int64_t>{0});
}

TEST_F(StatesTest, AHostThatGoesEndsItsBackoff) {
  Manifest m = manifest("text");
  m.scope = Scope::kConnection;
  apply(std::move(m));
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(call("text", 1)->ok());
    crash();
  }
  const auto waiting = call("text", 1);
  expect_told(kBackoff, "starts again in 100 ms");
  supervisor_->host_gone(1);
  run_ready(loop_);
  expect_told(kStopped, "its host has gone");
}

TEST_F(StatesTest, APoolThatHasLostItsLastInstanceWaitsAsLongAsAnyOther) {
  Manifest m = manifest("text");
  m.instances = 2;
  apply(std::move(m));
  std::optional<std::expected<PluginStatus, Error>> started;
  supervisor_->start("text", [&](auto status) { started = std::move(status); });
  clock_.advance(milliseconds(100));
  ASSERT_TRUE(started && *started);
  ASSERT_EQ(processes_.living(), 2u);
  processes_.spawned[0]->die(SIGKILL);
  processes_.spawned[1]->die(SIGKILL);
  run_ready(loop_);
  expect_told(kBackoff, "starts again in 100 ms");
  const int before = dialect_.starts;
  clock_.advance(milliseconds(99));
  EXPECT_EQ(dialect_.starts, before);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(dialect_.starts, before + 1);
}

TEST_F(StatesTest, AFailureDuringAStopIsNone) {
  Manifest m = manifest("text");
  m.restart_limit = 1;
  apply(std::move(m));
  ASSERT_TRUE(call("text")->ok());
  processes_.last().grandchildren = {77};
  processes_.last().ends_late = true;
  crash();
  stop();
  processes_.last().end_tree();
  run_ready(loop_);
  EXPECT_TRUE(of_plugin().empty());
  EXPECT_EQ(state(), kStopped);
  EXPECT_FALSE(supervisor_->status("text")->crash_loop);
}

TEST_F(StatesTest, AnUpgradeThatFailsSaysNothingOfThePlugin) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  of_plugin();
  dialect_.next_error = make_error(Reason::kStartExited, "it ended");
  Manifest next = manifest("text");
  next.version = "2";
  bool done = false;
  supervisor_->upgrade(std::move(next), [&](auto) { done = true; });
  run_ready(loop_);
  EXPECT_TRUE(done);
  EXPECT_TRUE(of_plugin().empty());
  EXPECT_EQ(state(), kReady);
}

/// What is kept in reserve during an upgrade.
class ReserveTest : public StatesTest {
 protected:
  void SetUp() override {
    apply(version("1"));
    ASSERT_TRUE(call("text")->ok());
    supervisor_->upgrade(version("2"), [this, weak = std::weak_ptr<void>(alive_)](auto) {
      if (!weak.expired()) done_ = true;
    });
    run_ready(loop_);
    ASSERT_EQ(processes_.living(), 2u);
    ASSERT_FALSE(done_);
  }
  static Manifest version(const std::string& version) {
    Manifest m = manifest("text");
    m.version = version;
    m.upgrade_probation = milliseconds(5'000);
    return m;
  }
  /// What the first instance did after it was ready.
  std::vector<InstanceState> way() const {
    std::vector<InstanceState> states;
    for (const Event& event : events_) {
      if (event.instance == "text#1") states.push_back(event.state);
    }
    return states;
  }
  bool done_ = false;
  const std::shared_ptr<void> alive_ = std::make_shared<int>(0);
};

TEST_F(ReserveTest, ConnectsAgainAndStaysInReserve) {
  connector_.connections.front()->fail();
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(way(), (std::vector{kStarting, kReady, kDraining, kStarting, kDraining}));
  EXPECT_EQ(processes_.living(), 2u);
  EXPECT_FALSE(done_);
}

TEST_F(ReserveTest, MayEndByItself) {
  processes_.spawned.front()->exit(0);
  run_ready(loop_);
  EXPECT_EQ(way(), (std::vector{kStarting, kReady, kDraining, kStopped}));
  EXPECT_FALSE(done_) << "the new version is on probation still";
}

}  // namespace
}  // namespace plugind::plugin
