// What becomes of an instance that lives on when its connection is lost, or said goodbye to.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using testing::run_ready;
using Verdict = testing::FakeConnector::Verdict;

class ReconnectTest : public SupervisorTest {
 protected:
  /// From now on the plugin answers so when it is connected to.
  void connecting_is(Verdict verdict) {
    connector_.on_connect = [verdict](testing::FakeConnection&) { return verdict; };
  }
  void say_goodbye() {
    connector_.last().say_goodbye();
    run_ready(loop_);
  }
};

// -- a connection that is lost ----------------------------------------------------------------

TEST_F(ReconnectTest, ACallBetweenTheEndOfAConnectionAndOfItsProcessGetsTheNextInstance) {
  apply(manifest("text"));
  const auto first = call("text");
  ASSERT_TRUE(first->ok());
  connector_.last().fail();
  run_ready(loop_);
  EXPECT_EQ(supervisor_->find("text")->ready_instance(0), nullptr);
  const auto waiting = call("text");
  EXPECT_FALSE(waiting->value);
  processes_.last().die(SIGKILL);
  run_ready(loop_);
  ASSERT_TRUE(waiting->ok()) << waiting->value->error().message;
  EXPECT_NE(&waiting->instance(), &first->instance());
}

TEST_F(ReconnectTest, AClosedConnectionOfALivingProcessIsMadeAgain) {
  apply(manifest("text"));
  const auto first = call("text");
  ASSERT_TRUE(first->ok());
  std::optional<Error> told;
  first->instance().explain_loss({}, [&](const Error& error) { told = error; });
  connector_.last().fail();
  run_ready(loop_);
  EXPECT_FALSE(told) << "the process may be about to be seen dying";
  clock_.advance(milliseconds(500));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginProtocolError);
  EXPECT_EQ(connector_.connections.size(), 2u);
  EXPECT_EQ(dialect_.starts, 1);
  EXPECT_TRUE(call("text")->ok());
}

// As grpc-go ends calls that outlast MaxConnectionAgeGrace.
TEST_F(ReconnectTest, ACallOnAConnectionThatWasReplacedIsToldOfItsEnd) {
  apply(manifest("text"));
  const auto first = call("text");
  ASSERT_TRUE(first->ok());
  connector_.last().fail();
  clock_.advance(milliseconds(500));
  ASSERT_EQ(connector_.connections.size(), 2u);
  std::optional<Error> told;
  first->instance().explain_loss({}, [&](const Error& error) { told = error; });
  run_ready(loop_);
  EXPECT_FALSE(told) << "the process may be about to be seen dying";
  clock_.advance(milliseconds(500));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginProtocolError);

  told.reset();
  first->instance().explain_loss({}, [&](const Error& error) { told = error; });
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginCrashed);
}

TEST_F(ReconnectTest, AProcessThatTakesNoConnectionAnyMoreIsReplaced) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  connector_.on_connect = [n = 0](testing::FakeConnection&) mutable {
    return n++ == 0 ? testing::FakeConnector::Verdict::kRefuse
                    : testing::FakeConnector::Verdict::kAccept;
  };
  connector_.last().fail();
  clock_.advance(milliseconds(500));
  EXPECT_EQ(dialect_.starts, 2);
  EXPECT_EQ(processes_.living(), 1u);
  EXPECT_TRUE(call("text")->ok());
}

TEST_F(ReconnectTest, AProcessThatKeepsNoConnectionIsReplaced) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  for (int i = 0; i < 2; ++i) {
    connector_.last().fail();
    clock_.advance(milliseconds(500));
    EXPECT_EQ(processes_.spawned[0]->killed, 0);
  }
  connector_.last().fail();
  clock_.advance(milliseconds(500));
  EXPECT_GT(processes_.spawned[0]->killed, 0) << "the third, of restart.limit";
  EXPECT_EQ(dialect_.starts, 2);
  const auto reports = supervisor_->crashes("text");
  ASSERT_TRUE(reports && reports->size() == 1);
  EXPECT_EQ(reports->front().reason, Reason::kPluginProtocolError);
  EXPECT_EQ(reports->front().message,
            "plugin 'text' lost 3 connections in a row, each within a second of making it; it was "
            "killed. See `pluginctl logs text`.");
  EXPECT_TRUE(call("text")->ok());
}

TEST_F(ReconnectTest, AConnectionThatIsReplacedNowAndThenIsNoFailure) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  for (int i = 0; i < 10; ++i) {
    clock_.advance(milliseconds(i % 3 == 2 ? 1'000 : 900));
    connector_.last().fail();
    clock_.advance(milliseconds(500));
  }
  EXPECT_EQ(processes_.spawned[0]->killed, 0);
  EXPECT_EQ(connector_.connections.size(), 11u);
}

// -- a plugin that says goodbye ---------------------------------------------------------------

// As grpc-go does for MaxConnectionAge.
TEST_F(ReconnectTest, AfterAGoodbyeTheNextConnectionIsMadeAtOnce) {
  apply(manifest("text"));
  const auto first = call("text");
  ASSERT_TRUE(first->ok());
  clock_.advance(milliseconds(1'000));
  first->instance().call_started();
  say_goodbye();
  EXPECT_EQ(connector_.connections.size(), 2u);
  EXPECT_TRUE(call("text")->ok());
  // The call on the old one is told of its loss, if that comes.
  std::optional<Error> told;
  first->instance().explain_loss({}, [&](const Error& error) { told = error; });
  clock_.advance(milliseconds(500));
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginProtocolError);
  EXPECT_EQ(dialect_.starts, 1);
}

TEST_F(ReconnectTest, AfterAGoodbyeThatLostCallsItMayBeDying) {
  apply(manifest("text"));
  const auto first = call("text");
  ASSERT_TRUE(first->ok());
  clock_.advance(milliseconds(1'000));
  std::optional<Error> told;
  first->instance().explain_loss({}, [&](const Error& error) { told = error; });
  say_goodbye();
  EXPECT_EQ(connector_.connections.size(), 1u);
  EXPECT_FALSE(told);
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginCrashed);
}

TEST_F(ReconnectTest, AGoodbyeSoonAfterTheGreetingIsFollowedByAPause) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  for (std::size_t i = 1; i <= 2; ++i) {
    clock_.advance(milliseconds(400));
    say_goodbye();
    EXPECT_EQ(connector_.connections.size(), i);
    clock_.advance(milliseconds(499));
    EXPECT_EQ(connector_.connections.size(), i);
    clock_.advance(milliseconds(1));
    EXPECT_EQ(connector_.connections.size(), i + 1);
  }
  say_goodbye();
  clock_.advance(milliseconds(500));
  ASSERT_EQ(supervisor_->crashes("text")->size(), 1u) << "the third, of restart.limit";
  EXPECT_EQ(supervisor_->crashes("text")->front().reason, Reason::kPluginProtocolError);
}

// As grpc-go's GracefulStop does before a program ends.
TEST_F(ReconnectTest, AGoodbyeBeforeItsEndIsNoFailure) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  clock_.advance(milliseconds(1'000));
  connecting_is(Verdict::kRefuse);
  say_goodbye();
  const auto waiting = call("text");
  EXPECT_FALSE(waiting->value);
  EXPECT_EQ(processes_.spawned[0]->killed, 0);
  connecting_is(Verdict::kAccept);
  processes_.last().exit(0);
  run_ready(loop_);
  EXPECT_TRUE(supervisor_->crashes("text")->empty());
  EXPECT_TRUE(waiting->ok()) << "by the next instance";
}

TEST_F(ReconnectTest, BeforeItsEndCallsHaveTheTimeOfADrain) {
  Manifest m = manifest("text");
  m.stop_drain = milliseconds(3'000);
  apply(std::move(m));
  const auto first = call("text");
  ASSERT_TRUE(first->ok());
  first->instance().call_started();
  clock_.advance(milliseconds(1'000));
  connecting_is(Verdict::kRefuse);
  say_goodbye();
  clock_.advance(milliseconds(2'999));
  EXPECT_EQ(processes_.spawned[0]->killed, 0);
  clock_.advance(milliseconds(1));
  EXPECT_GT(processes_.spawned[0]->killed, 0);
}

TEST_F(ReconnectTest, AfterAGoodbyeAProcessThatTakesNoConnectionIsReplaced) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  clock_.advance(milliseconds(1'000));
  connecting_is(Verdict::kRefuse);
  say_goodbye();
  clock_.advance(milliseconds(499));
  EXPECT_EQ(processes_.spawned[0]->killed, 0);
  clock_.advance(milliseconds(1));
  EXPECT_GT(processes_.spawned[0]->killed, 0);
}

// -- while it is connected to again -----------------------------------------------------------

TEST_F(ReconnectTest, AProcessThatEndsMeanwhileIsSeenAtOnce) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  connecting_is(Verdict::kSilence);
  connector_.last().fail();
  clock_.advance(milliseconds(500));
  ASSERT_EQ(connector_.attempts.size(), 2u);
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  ASSERT_EQ(supervisor_->crashes("text")->size(), 1u);
  EXPECT_EQ(supervisor_->crashes("text")->front().reason, Reason::kPluginCrashed);
}

class StopMeanwhileTest : public ReconnectTest {
 protected:
  /// A plugin whose new connection is not there yet, after a call on the one before.
  Instance& connecting() {
    Manifest m = manifest("text");
    m.stop_drain = milliseconds(3'000);
    apply(std::move(m));
    call_ = call("text");
    EXPECT_TRUE(call_->ok());
    clock_.advance(milliseconds(1'000));
    call_->instance().call_started();
    connecting_is(Verdict::kSilence);
    say_goodbye();
    return call_->instance();
  }
  void stop() {
    supervisor_->stop("text", [this](auto) { stopped_ = true; });
    run_ready(loop_);
  }
  void expect_stopped() {
    EXPECT_TRUE(stopped_);
    EXPECT_TRUE(supervisor_->crashes("text")->empty());
    EXPECT_EQ(supervisor_->status("text")->state, InstanceState::kStopped);
  }

  std::shared_ptr<Outcome> call_;
  bool stopped_ = false;
};

TEST_F(StopMeanwhileTest, IsAStop) {
  connecting().call_finished();
  stop();
  expect_stopped();
}

TEST_F(StopMeanwhileTest, WaitsForTheCallOnTheConnectionBefore) {
  Instance& instance = connecting();
  stop();
  EXPECT_EQ(instance.state(), InstanceState::kDraining);
  clock_.advance(milliseconds(2'999));
  EXPECT_FALSE(stopped_);
  instance.call_finished();
  run_ready(loop_);
  expect_stopped();
}

}  // namespace
}  // namespace plugind::plugin
