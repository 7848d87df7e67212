// What becomes of the calls in flight when an instance is to stop.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using testing::run_ready;

class DrainTest : public SupervisorTest {
 protected:
  /// A plugin with an instance that has one call in flight.
  std::shared_ptr<Outcome> busy(Manifest m) {
    const std::string name = m.name;
    apply(std::move(m));
    auto outcome = call(name);
    EXPECT_TRUE(outcome->ok());
    outcome->instance().call_started();
    return outcome;
  }
  static Manifest drained(const std::string& name) {
    Manifest m = manifest(name);
    m.stop_drain = milliseconds(3'000);
    return m;
  }
  /// What a call does whose connection is gone.
  void lose(Instance& instance, std::optional<Error>& told) {
    instance.call_finished();
    instance.explain_loss({}, [&told](const Error& error) { told = error; });
    run_ready(loop_);
  }
  void stop(const std::string& name) {
    supervisor_->stop(name, [this](auto) { stopped_ = true; });
    run_ready(loop_);
  }
  std::vector<InstanceState> states_of(const std::string& instance) const {
    std::vector<InstanceState> states;
    for (const Event& event : events_) {
      if (event.instance == instance) states.push_back(event.state);
    }
    return states;
  }
  bool stopped_ = false;
};

TEST_F(DrainTest, ACallInFlightEndsBeforeThePluginIsAskedTo) {
  const auto one = busy(drained("echo"));
  stop("echo");
  EXPECT_EQ(one->instance().state(), InstanceState::kDraining);
  EXPECT_FALSE(one->instance().ready());
  EXPECT_EQ(dialect_.shutdown_requests, 0);
  clock_.advance(milliseconds(2'000));
  EXPECT_EQ(processes_.last().terminated, 0);
  one->instance().call_finished();
  run_ready(loop_);
  EXPECT_TRUE(stopped_);
  EXPECT_EQ(states_of("echo#1"),
            (std::vector{InstanceState::kStarting, InstanceState::kReady, InstanceState::kDraining,
                         InstanceState::kStopping, InstanceState::kStopped}));
}

TEST_F(DrainTest, ACallThatDoesNotEndIsWaitedForUpToTheBound) {
  const auto one = busy(drained("echo"));
  std::optional<Error> told;
  one->instance().explain_loss({}, [&](const Error& error) { told = error; });
  stop("echo");
  clock_.advance(milliseconds(2'999));
  EXPECT_EQ(processes_.last().terminated, 0);
  clock_.advance(milliseconds(1));
  EXPECT_TRUE(stopped_);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginStopped);
  EXPECT_NE(told->message.find("after stop.drain there was still 1 call in flight"),
            std::string::npos)
      << told->message;
}

TEST_F(DrainTest, WithoutABoundNothingIsWaitedFor) {
  Manifest m = drained("echo");
  m.stop_drain = milliseconds(0);
  busy(std::move(m));
  stop("echo");
  EXPECT_TRUE(stopped_);
}

TEST_F(DrainTest, HurryDoesNotWaitForCalls) {
  const auto one = busy(drained("echo"));
  supervisor_->shutdown([this] { stopped_ = true; });
  run_ready(loop_);
  EXPECT_FALSE(stopped_);
  supervisor_->hurry();
  run_ready(loop_);
  EXPECT_TRUE(stopped_);
}

TEST_F(DrainTest, ACrashDuringItIsToldToTheCallsInFlight) {
  const auto one = busy(drained("echo"));
  stop("echo");
  std::optional<Error> told;
  connector_.last().fail();
  lose(one->instance(), told);
  EXPECT_FALSE(stopped_) << "it may be about to be seen dying";
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  EXPECT_TRUE(stopped_);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginCrashed) << told->message;
  EXPECT_EQ(supervisor_->crashes("echo")->size(), 1u);
}

TEST_F(DrainTest, ALostConnectionOfALivingProcessIsToldToTheCallsInFlight) {
  const auto one = busy(drained("echo"));
  stop("echo");
  std::optional<Error> told;
  connector_.last().fail();
  lose(one->instance(), told);
  clock_.advance(milliseconds(500));
  EXPECT_TRUE(stopped_);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginProtocolError) << told->message;
}

TEST_F(DrainTest, AGoodbyeDuringItEndsNoCall) {
  const auto one = busy(drained("echo"));
  stop("echo");
  connector_.last().say_goodbye();
  clock_.advance(milliseconds(2'999));
  EXPECT_FALSE(stopped_);
  one->instance().call_finished();
  run_ready(loop_);
  EXPECT_TRUE(stopped_);
}

TEST_F(DrainTest, ACallThatIsLostAfterAGoodbyeDuringItIsToldWhileOthersGoOn) {
  supervisor_.reset();
  with_lanes(2);
  const auto one = busy(drained("echo"));
  one->instance().calls()->started(1);
  stop("echo");
  connector_.last().say_goodbye();
  run_ready(loop_);
  std::optional<Error> told;
  lose(one->instance(), told);
  clock_.advance(milliseconds(500));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginProtocolError);
  EXPECT_FALSE(stopped_);
  one->instance().calls()->finished(1);
  supervisor_->lane_let_go("echo", "echo#1");
  run_ready(loop_);
  EXPECT_TRUE(stopped_);
}

// A server that is told to end may close its connections long before the process has ended.
TEST_F(DrainTest, ACallThatTheEndCutsOffIsToldOfTheStop) {
  const auto one = busy(drained("echo"));
  clock_.advance(milliseconds(1'000));
  connector_.last().say_goodbye();  // From here on there is more than one connection.
  run_ready(loop_);
  processes_.last().ends_on_terminate = false;
  stop("echo");
  clock_.advance(milliseconds(3'000));
  ASSERT_EQ(one->instance().state(), InstanceState::kStopping);
  std::optional<Error> told;
  lose(one->instance(), told);
  clock_.advance(milliseconds(999));
  EXPECT_FALSE(told);
  clock_.advance(milliseconds(1));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginStopped) << told->message;
}

TEST_F(DrainTest, AfterAReloadNewCallsGoToTheNewOneWhileTheOldOneDrains) {
  Manifest m = drained("echo");
  const auto one = busy(m);
  m.version = "2.0.0";
  apply(m);
  EXPECT_EQ(one->instance().state(), InstanceState::kDraining);
  const auto two = call("echo");
  ASSERT_TRUE(two->ok());
  EXPECT_EQ(two->instance().id(), "echo#2");
  EXPECT_EQ(processes_.living(), 2u);
  one->instance().call_finished();
  run_ready(loop_);
  EXPECT_EQ(processes_.living(), 1u);
  EXPECT_TRUE(two->instance().ready());
}

TEST_F(DrainTest, ItWaitsForTheLoopsBesideThisOne) {
  supervisor_.reset();
  with_lanes(3);
  const auto one = busy(drained("echo"));
  one->instance().calls()->started(2);
  stop("echo");
  one->instance().call_finished();
  supervisor_->lane_let_go("echo", "echo#1");
  run_ready(loop_);
  EXPECT_FALSE(stopped_);
  supervisor_->lane_let_go("echo", "echo#1");
  run_ready(loop_);
  EXPECT_FALSE(stopped_) << "a call of another loop is in flight";
  one->instance().calls()->finished(2);
  one->instance().look_idle();
  run_ready(loop_);
  EXPECT_TRUE(stopped_);
}

TEST_F(DrainTest, AnotherLoopThatMayStillGiveItCallsIsWaitedForWhenThereAreNone) {
  supervisor_.reset();
  with_lanes(2);
  apply(drained("echo"));
  ASSERT_TRUE(call("echo")->ok());
  stop("echo");
  EXPECT_FALSE(stopped_);
  supervisor_->lane_let_go("echo", "echo#1");
  run_ready(loop_);
  EXPECT_TRUE(stopped_);
}

}  // namespace
}  // namespace plugind::plugin
