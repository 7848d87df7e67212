// How an instance is made to end, on a clock that the test moves.
#include <gtest/gtest.h>

#include <memory>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using testing::run_ready;
using Signals = std::vector<StopSignal>;

class StopStepsTest : public SupervisorTest {
 protected:
  StopStepsTest() {
    processes_.on_spawn = [](testing::FakeProcess& process) {
      process.ends_on_terminate = false;
      process.grandchildren = {4711};
    };
  }
  /// A plugin with an instance that is to stop by these steps.
  void run(std::optional<std::vector<StopStep>> steps) {
    Manifest m = manifest("echo");
    m.stop_steps = std::move(steps);
    apply(std::move(m));
    ASSERT_TRUE(call("echo")->ok());
  }
  void stop() {
    // One that is under way at the end of a test is answered when its members are gone.
    supervisor_->stop("echo", [stopped = stopped_](auto) { *stopped = true; });
    run_ready(loop_);
  }
  const testing::FakeProcess& process() { return *processes_.spawned.front(); }
  std::string cause() const { return events_.back().cause; }

  const std::shared_ptr<bool> stopped_ = std::make_shared<bool>(false);
  static constexpr StopStep kAsk{std::nullopt, milliseconds(100)};
  static constexpr StopStep kInterrupt{StopSignal::kInterrupt, milliseconds(2'000)};
  static constexpr StopStep kTerminate{StopSignal::kTerminate, milliseconds(5'000)};
};

TEST_F(StopStepsTest, AreTakenInOrderEachAfterTheTimeoutOfTheOneBefore) {
  run({{kInterrupt, kAsk, kTerminate}});
  stop();
  EXPECT_EQ(process().signals, Signals{StopSignal::kInterrupt});
  clock_.advance(milliseconds(1'999));
  EXPECT_EQ(dialect_.shutdown_requests, 0);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(dialect_.shutdown_requests, 1);
  clock_.advance(milliseconds(99));
  EXPECT_EQ(process().signals.size(), 1u);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(process().signals, (Signals{StopSignal::kInterrupt, StopSignal::kTerminate}));
  clock_.advance(milliseconds(4'999));
  EXPECT_EQ(process().killed, 0);
  EXPECT_FALSE(*stopped_);
  clock_.advance(milliseconds(1));
  EXPECT_GT(process().killed, 0) << "SIGKILL is the end of every list";
  EXPECT_TRUE(process().gone());
  EXPECT_TRUE(*stopped_);
  EXPECT_EQ(cause(), "stopped by an operator; it outlived stop.steps and was killed");
}

TEST_F(StopStepsTest, EndWhenNothingOfTheTreeIsLeft) {
  run({{kTerminate, kInterrupt, kTerminate}});
  processes_.last().ends_on = StopSignal::kInterrupt;
  stop();
  clock_.advance(milliseconds(5'000));
  EXPECT_TRUE(*stopped_) << "nothing is left to wait for";
  EXPECT_EQ(process().signals, (Signals{StopSignal::kTerminate, StopSignal::kInterrupt}));
  EXPECT_EQ(cause(), "stopped by an operator; step 2 of stop.steps (SIGINT) ended it");
}

TEST_F(StopStepsTest, GoOnWhileAnotherProcessOfTheTreeLives) {
  run({{kTerminate, kInterrupt}});
  processes_.last().ends_on_terminate = true;
  stop();
  EXPECT_FALSE(process().alive());
  EXPECT_FALSE(*stopped_);
  clock_.advance(milliseconds(5'000));
  EXPECT_EQ(process().signals, (Signals{StopSignal::kTerminate, StopSignal::kInterrupt}));
  processes_.last().end_tree();
  run_ready(loop_);
  EXPECT_TRUE(*stopped_);
  EXPECT_EQ(cause(), "stopped by an operator; step 2 of stop.steps (SIGINT) ended it");
}

TEST_F(StopStepsTest, TheDialectsRequestIsGivenItsTimeAlsoWhenItWasAnswered) {
  run({{kAsk, kTerminate}});
  dialect_.shutdown_takes = milliseconds(30);
  stop();
  clock_.advance(milliseconds(99));
  EXPECT_EQ(process().signals, Signals{}) << "it was answered, and may end by itself";
  processes_.last().end_tree();
  run_ready(loop_);
  EXPECT_TRUE(*stopped_);
  EXPECT_EQ(process().signals, Signals{});
  EXPECT_EQ(cause(), "stopped by an operator; step 1 of stop.steps (ask) ended it");
}

TEST_F(StopStepsTest, ARequestThatIsNotAnsweredTakesNoMoreThanItsTime) {
  run({{kAsk, kTerminate}});
  dialect_.shutdown_takes = milliseconds(60'000);
  stop();
  clock_.advance(milliseconds(99));
  EXPECT_EQ(process().signals, Signals{});
  clock_.advance(milliseconds(1));
  EXPECT_EQ(process().signals, Signals{StopSignal::kTerminate});
}

TEST_F(StopStepsTest, NoneKillAtOnce) {
  run(std::vector<StopStep>{});
  stop();
  EXPECT_TRUE(*stopped_);
  EXPECT_EQ(dialect_.shutdown_requests, 0);
  EXPECT_EQ(process().signals, Signals{});
  EXPECT_TRUE(process().gone());
  EXPECT_EQ(cause(), "stopped by an operator; stop.steps has none, so it was killed");
}

TEST_F(StopStepsTest, WithoutAListItIsAskedAndToldAtOnceAndKilledAfterTheGrace) {
  run(std::nullopt);
  dialect_.on_shutdown = [this] { EXPECT_EQ(process().signals, Signals{}); };
  stop();
  EXPECT_EQ(dialect_.shutdown_requests, 1);
  EXPECT_EQ(process().signals, Signals{StopSignal::kTerminate});
  clock_.advance(milliseconds(999));
  EXPECT_EQ(process().killed, 0);
  clock_.advance(milliseconds(1));
  EXPECT_TRUE(*stopped_);
  EXPECT_EQ(cause(), "stopped by an operator; it outlived stop.grace and was killed");
}

TEST_F(StopStepsTest, HurryLeavesOutWhatIsLeftOfThemAtEachOfThem) {
  for (const milliseconds into : {milliseconds(0), milliseconds(100), milliseconds(2'100)}) {
    supervisor_.reset();
    with_lanes(1);
    processes_.spawned.clear();
    states_.clear();
    *stopped_ = false;
    run({{kAsk, kInterrupt, kTerminate}});
    dialect_.shutdown_takes = milliseconds(60'000);
    supervisor_->shutdown([stopped = stopped_] { *stopped = true; });
    clock_.advance(into);
    EXPECT_FALSE(*stopped_) << into.count();
    const std::size_t sent = process().signals.size();
    supervisor_->hurry();
    run_ready(loop_);
    EXPECT_TRUE(*stopped_) << into.count();
    EXPECT_TRUE(process().gone());
    EXPECT_EQ(process().signals.size(), sent) << into.count();
    EXPECT_EQ(cause(),
              "plugind is shutting down; it was killed at once, as the daemon was told to stop at "
              "once");
  }
}

TEST_F(StopStepsTest, AStartThatIsCutShortTakesNone) {
  dialect_.start_takes = milliseconds(5'000);
  Manifest m = manifest("echo");
  m.stop_steps = {kTerminate};
  apply(std::move(m));
  const auto waiting = call("echo");
  stop();
  EXPECT_TRUE(*stopped_);
  EXPECT_EQ(dialect_.shutdown_requests, 0);
  EXPECT_EQ(processes_.living(), 0u);
}

}  // namespace
}  // namespace plugind::plugin
