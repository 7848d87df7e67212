// The life of plugins on a clock that the test moves: who gets which instance, what callers are
// told, when one is started again.
#include "daemon/plugin/supervisor.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using testing::run_ready;

TEST_F(SupervisorTest, ConcurrentFirstCallsStartOneInstance) {
  dialect_.start_takes = milliseconds(50);
  apply(manifest("echo"));
  EXPECT_EQ(dialect_.starts, 0) << "start.mode is on-demand";
  const auto first = call("echo");
  const auto second = call("echo");
  EXPECT_FALSE(first->value);
  clock_.advance(milliseconds(50));
  ASSERT_TRUE(first->ok());
  ASSERT_TRUE(second->ok());
  EXPECT_EQ(&first->instance(), &second->instance());
  EXPECT_EQ(dialect_.starts, 1);
}

TEST_F(SupervisorTest, EveryHostOfAHostScopedPluginGetsItsOwn) {
  Manifest m = manifest("kv");
  m.scope = Scope::kHost;
  apply(std::move(m));
  const auto one = call("kv", 1);
  const auto two = call("kv", 2);
  const auto one_again = call("kv", 1);
  ASSERT_TRUE(one->ok() && two->ok() && one_again->ok());
  EXPECT_NE(&one->instance(), &two->instance());
  EXPECT_EQ(&one->instance(), &one_again->instance());
  EXPECT_EQ(supervisor_->find("kv")->ready_instance(2), &two->instance());
}

TEST_F(SupervisorTest, AHostsInstanceStopsALingerAfterItsLastConnection) {
  Manifest m = manifest("kv");
  m.scope = Scope::kHost;
  m.host_linger = milliseconds(300);
  apply(std::move(m));
  ASSERT_TRUE(call("kv", 1)->ok());
  supervisor_->host_gone(1);
  clock_.advance(milliseconds(299));
  EXPECT_EQ(processes_.living(), 1u);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(processes_.living(), 0u);
}

TEST_F(SupervisorTest, AHostThatComesBackInTimeKeepsItsInstance) {
  Manifest m = manifest("kv");
  m.scope = Scope::kHost;
  m.host_linger = milliseconds(300);
  apply(std::move(m));
  ASSERT_TRUE(call("kv", 1)->ok());
  supervisor_->host_gone(1);
  clock_.advance(milliseconds(200));
  supervisor_->host_back(1);
  clock_.advance(milliseconds(1000));
  EXPECT_EQ(processes_.living(), 1u);
}

TEST_F(SupervisorTest, ACrashIsExplainedWithSignalAndStderr) {
  apply(manifest("text"));
  const auto first = call("text");
  ASSERT_TRUE(first->ok());
  std::optional<Error> told;
  first->instance().explain_loss({}, [&](const Error& error) { told = error; });
  clock_.advance(milliseconds(70));
  processes_.last().print_stderr("thread 'main' panicked\nunfinished");
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason, Reason::kPluginCrashed);
  EXPECT_NE(told->message.find("signal 11 (SIGSEGV) after 70 ms"), std::string::npos)
      << told->message;
  EXPECT_NE(told->message.find("thread 'main' panicked\nunfinished"), std::string::npos)
      << told->message;
  ASSERT_EQ(told->details.size(), 3u);
  EXPECT_EQ(told->details[1], std::make_pair(std::string("signal"), std::string("11")));
}

TEST_F(SupervisorTest, AnExplanationAfterTheEndComesAtOnce) {
  apply(manifest("text"));
  const auto first = call("text");
  ASSERT_TRUE(first->ok());
  const auto instance = first->instance().shared_from_this();
  processes_.last().exit(3);
  run_ready(loop_);
  std::optional<Error> told;
  instance->explain_loss({}, [&](const Error& error) { told = error; });
  ASSERT_TRUE(told);
  EXPECT_NE(told->message.find("exit code 3"), std::string::npos) << told->message;
}

TEST_F(SupervisorTest, ASharedPluginThatCrashedRestartsByItselfAtOnceThenWithBackoff) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  processes_.last().die(SIGABRT);
  run_ready(loop_);
  EXPECT_EQ(dialect_.starts, 2) << "the first restart does not wait";
  processes_.last().die(SIGABRT);
  run_ready(loop_);
  EXPECT_EQ(dialect_.starts, 2);
  EXPECT_EQ(supervisor_->status("text")->state, InstanceState::kBackoff);
  clock_.advance(milliseconds(99));
  EXPECT_EQ(dialect_.starts, 2);
  clock_.advance(milliseconds(1));
  EXPECT_EQ(dialect_.starts, 3);
  EXPECT_EQ(supervisor_->status("text")->state, InstanceState::kReady);
}

TEST_F(SupervisorTest, ACallDuringTheBackoffWaitsForTheNextInstance) {
  apply(manifest("text"));
  ASSERT_TRUE(call("text")->ok());
  processes_.last().die(SIGABRT);
  run_ready(loop_);
  processes_.last().die(SIGABRT);
  run_ready(loop_);
  const auto waiting = call("text");
  EXPECT_FALSE(waiting->value);
  clock_.advance(milliseconds(100));
  EXPECT_TRUE(waiting->ok());
}

TEST_F(SupervisorTest, TheCrashLoopIsBrokenAndARestartClearsIt) {
  apply(manifest("text"));
  for (int i = 0; i < 3; ++i) {
    const auto outcome = call("text");
    clock_.advance(milliseconds(1000));
    ASSERT_TRUE(outcome->ok()) << i;
    processes_.last().exit(7);
    run_ready(loop_);
  }
  const auto refused = call("text");
  ASSERT_TRUE(refused->value && !refused->ok());
  EXPECT_EQ(refused->reason(), Reason::kCrashLoop);
  EXPECT_NE(refused->value->error().message.find("exit code 7"), std::string::npos);
  EXPECT_EQ(supervisor_->status("text")->state, InstanceState::kFailed);
  const int before = dialect_.starts;
  clock_.advance(milliseconds(600'000));
  EXPECT_EQ(dialect_.starts, before) << "nothing starts it by itself";
  EXPECT_NE(call("text")->value->error().message.find(
                "Last failure, at 2024-01-01 00:00:03 UTC: plugin 'text'"),
            std::string::npos)
      << call("text")->value->error().message;

  std::optional<std::expected<PluginStatus, Error>> restarted;
  supervisor_->restart("text", [&](auto status) { restarted = std::move(status); });
  run_ready(loop_);
  ASSERT_TRUE(restarted && *restarted);
  EXPECT_EQ((*restarted)->state, InstanceState::kReady);
}

TEST_F(SupervisorTest, AFailedPluginIsRestartedByAnOperatorAsOftenAsItTakes) {
  const auto restart = [&] {
    const auto outcome = std::make_shared<std::expected<PluginStatus, Error>>();
    supervisor_->restart("text", [outcome](auto status) { *outcome = std::move(status); });
    run_ready(loop_);
    return *outcome;
  };
  const Error missing = make_error(Reason::kExecutableMissing, "/opt/none does not exist");
  Manifest m = manifest("text");
  m.restart_limit = 1;
  apply(std::move(m));
  dialect_.next_error = missing;
  EXPECT_EQ(call("text")->reason(), Reason::kCrashLoop);
  ASSERT_EQ(supervisor_->status("text")->state, InstanceState::kFailed);

  dialect_.next_error = missing;
  const auto still = restart();
  ASSERT_FALSE(still);
  EXPECT_EQ(still.error().reason, Reason::kExecutableMissing) << "why, not that it was in a loop";
  EXPECT_EQ(supervisor_->status("text")->state, InstanceState::kFailed);
  EXPECT_EQ(call("text")->reason(), Reason::kCrashLoop);

  const auto mended = restart();
  ASSERT_TRUE(mended) << mended.error().message;
  EXPECT_EQ(mended->state, InstanceState::kReady);
  EXPECT_FALSE(mended->crash_loop);
  EXPECT_TRUE(call("text")->ok());
  EXPECT_EQ(dialect_.starts, 3);
}

TEST_F(SupervisorTest, AChangedManifestClearsTheCrashLoop) {
  Manifest m = manifest("text");
  m.restart_limit = 1;
  apply(m);
  dialect_.next_error = make_error(Reason::kExecutableMissing, "/opt/none does not exist");
  EXPECT_EQ(call("text")->reason(), Reason::kCrashLoop);
  apply(m);
  EXPECT_EQ(call("text")->reason(), Reason::kCrashLoop) << "nothing has changed";
  m.env["PATH"] = "/opt/some";
  apply(m);
  EXPECT_EQ(supervisor_->status("text")->state, InstanceState::kStopped);
  EXPECT_TRUE(call("text")->ok());
}

TEST_F(SupervisorTest, WhatAlwaysRunsIsStartedAgainAfterAnEndWithoutFailure) {
  Manifest m = manifest("text");
  m.restart_policy = RestartPolicy::kAlways;
  apply(std::move(m));
  ASSERT_TRUE(call("text")->ok());
  processes_.last().exit(0);
  run_ready(loop_);
  EXPECT_EQ(dialect_.starts, 2);
  const auto status = supervisor_->status("text");
  EXPECT_EQ(status->state, InstanceState::kReady);
  EXPECT_EQ(status->failures, 0U);
}

TEST_F(SupervisorTest, WhatRestartsOnFailureStaysDownAfterAnEndWithoutOne) {
  Manifest m = manifest("text");
  m.restart_policy = RestartPolicy::kOnFailure;
  apply(std::move(m));
  ASSERT_TRUE(call("text")->ok());
  processes_.last().exit(0);
  clock_.advance(milliseconds(600'000));
  EXPECT_EQ(dialect_.starts, 1);
  const auto status = supervisor_->status("text");
  EXPECT_EQ(status->state, InstanceState::kStopped);
  EXPECT_EQ(status->cause, "it ended by itself with exit code 0");
  EXPECT_TRUE(call("text")->ok()) << "a call starts it";
}

TEST_F(SupervisorTest, OneHostsCrashLoopDoesNotTouchAnotherHost) {
  Manifest m = manifest("kv");
  m.scope = Scope::kHost;
  apply(std::move(m));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(call("kv", 1)->ok() || (clock_.advance(milliseconds(1000)), true));
    processes_.last().die(SIGKILL);
    run_ready(loop_);
  }
  EXPECT_EQ(call("kv", 1)->reason(), Reason::kCrashLoop);
  EXPECT_TRUE(call("kv", 2)->ok());
}

TEST_F(SupervisorTest, AFailedStartIsToldToEveryWaiterWithThePluginsName) {
  dialect_.start_takes = milliseconds(10);
  dialect_.next_error = make_error(Reason::kExecutableMissing, "/opt/none does not exist");
  apply(manifest("text"));
  const auto first = call("text");
  const auto second = call("text");
  clock_.advance(milliseconds(10));
  ASSERT_TRUE(first->value && second->value);
  EXPECT_EQ(first->reason(), Reason::kExecutableMissing);
  EXPECT_EQ(second->reason(), Reason::kExecutableMissing);
  EXPECT_EQ(first->value->error().message, "plugin 'text' cannot start: /opt/none does not exist");
  EXPECT_FALSE(std::filesystem::exists(dialect_.directories.back()));
}

TEST_F(SupervisorTest, StopHoldsUntilStart) {
  apply(manifest("echo"));
  ASSERT_TRUE(call("echo")->ok());
  bool stopped = false;
  supervisor_->stop("echo", [&](auto) { stopped = true; });
  run_ready(loop_);
  EXPECT_TRUE(stopped);
  EXPECT_EQ(dialect_.shutdown_requests, 1) << "asked before it was told";
  EXPECT_EQ(processes_.last().terminated, 1);
  EXPECT_TRUE(processes_.last().gone());
  const auto refused = call("echo");
  ASSERT_TRUE(refused->value && !refused->ok());
  EXPECT_EQ(refused->reason(), Reason::kPluginStopped);
  supervisor_->start("echo", [](auto) {});
  run_ready(loop_);
  EXPECT_TRUE(call("echo")->ok());
}

TEST_F(SupervisorTest, WhatIgnoresTheTermSignalIsKilledAfterTheGraceWithItsTree) {
  processes_.on_spawn = [](testing::FakeProcess& process) {
    process.ends_on_terminate = false;
    process.grandchildren = {4711};
  };
  apply(manifest("echo"));
  ASSERT_TRUE(call("echo")->ok());
  bool stopped = false;
  supervisor_->stop("echo", [&](auto) { stopped = true; });
  clock_.advance(milliseconds(999));
  EXPECT_FALSE(stopped);
  EXPECT_EQ(processes_.last().killed, 0);
  clock_.advance(milliseconds(1));
  EXPECT_TRUE(stopped);
  EXPECT_TRUE(processes_.last().gone());
}

TEST_F(SupervisorTest, StopDuringAStartAnswersTheWaitersAndLeavesNothing) {
  dialect_.start_takes = milliseconds(5'000);
  apply(manifest("echo"));
  const auto waiting = call("echo");
  bool stopped = false;
  supervisor_->stop("echo", [&](auto) { stopped = true; });
  run_ready(loop_);
  EXPECT_TRUE(stopped) << "a stop beats a long start";
  ASSERT_TRUE(waiting->value && !waiting->ok());
  EXPECT_EQ(waiting->reason(), Reason::kPluginStopped);
  EXPECT_EQ(processes_.living(), 0u);
}

TEST_F(SupervisorTest, TheQueueOfWaitingCallsIsBounded) {
  dialect_.start_takes = milliseconds(1'000);
  Manifest m = manifest("echo");
  m.calls_queue = 2;
  apply(std::move(m));
  const auto first = call("echo");
  auto second = call("echo");
  const auto third = call("echo");
  ASSERT_TRUE(third->value && !third->ok());
  EXPECT_EQ(third->reason(), Reason::kQueueFull);
  second.reset();  // A caller that gives up makes room.
  const auto fourth = call("echo");
  EXPECT_FALSE(fourth->value);
}

TEST_F(SupervisorTest, AManualPluginIsStartedByAnOperatorOnly) {
  Manifest m = manifest("echo");
  m.start_mode = StartMode::kManual;
  apply(std::move(m));
  EXPECT_EQ(call("echo")->reason(), Reason::kStartModeManual);
  supervisor_->start("echo", [](auto) {});
  run_ready(loop_);
  EXPECT_TRUE(call("echo")->ok());
}

TEST_F(SupervisorTest, BootPluginsStartWithoutACall) {
  Manifest m = manifest("echo");
  m.start_mode = StartMode::kBoot;
  apply(std::move(m));
  EXPECT_EQ(dialect_.starts, 1);
}

TEST_F(SupervisorTest, ABootPluginIsTriedAgainAfterAFailedStart) {
  const Error missing = make_error(Reason::kExecutableMissing, "/opt/none does not exist");
  dialect_.start_takes = milliseconds(10);
  for (const StartMode mode : {StartMode::kOnDemand, StartMode::kBoot}) {
    const bool boot = mode == StartMode::kBoot;
    Manifest m = manifest(boot ? "boot" : "asked");
    m.start_mode = mode;
    const std::string name = m.name;
    dialect_.starts = 0;
    dialect_.next_error = missing;
    apply(std::move(m));
    const auto asked = boot ? nullptr : call(name);
    clock_.advance(milliseconds(10));
    if (boot) dialect_.next_error = missing;  // The second time, too.
    clock_.advance(milliseconds(10'000));
    EXPECT_EQ(dialect_.starts, boot ? 3 : 1) << name;
    EXPECT_EQ(supervisor_->status(name)->failures, boot ? 2U : 1U) << name;
    EXPECT_EQ(supervisor_->status(name)->state,
              boot ? InstanceState::kReady : InstanceState::kFailed)
        << name;
  }
}

TEST_F(SupervisorTest, StartOfAHostScopedPluginMakesASpareThatTheNextHostGets) {
  Manifest m = manifest("kv");
  m.scope = Scope::kHost;
  apply(std::move(m));
  std::optional<std::expected<PluginStatus, Error>> started;
  supervisor_->start("kv", [&](auto status) { started = std::move(status); });
  run_ready(loop_);
  ASSERT_TRUE(started && *started);
  EXPECT_EQ(dialect_.starts, 1);
  ASSERT_TRUE(call("kv", 9)->ok());
  EXPECT_EQ(dialect_.starts, 1);
  ASSERT_TRUE(call("kv", 10)->ok());
  EXPECT_EQ(dialect_.starts, 2);
}

TEST_F(SupervisorTest, ApplyTellsWhatChangedAndStopsWhatIsGone) {
  Manifest changed = manifest("changed");
  std::vector<Manifest> before;
  before.push_back(manifest("same"));
  before.push_back(changed);
  before.push_back(manifest("gone"));
  supervisor_->apply(std::move(before));
  ASSERT_TRUE(call("same")->ok() && call("changed")->ok() && call("gone")->ok());
  changed.env["A"] = "b";
  std::vector<Manifest> after;
  after.push_back(manifest("same"));
  after.push_back(changed);
  after.push_back(manifest("new"));
  const ReloadSummary summary = supervisor_->apply(std::move(after));
  run_ready(loop_);
  EXPECT_EQ(summary.added, std::vector<std::string>{"new"});
  EXPECT_EQ(summary.removed, std::vector<std::string>{"gone"});
  EXPECT_EQ(summary.changed, std::vector<std::string>{"changed"});
  EXPECT_EQ(processes_.living(), 1u) << "only 'same' goes on";
  EXPECT_EQ(supervisor_->find("gone"), nullptr);
  const auto anew = call("changed");
  ASSERT_TRUE(anew->ok());
  EXPECT_EQ(anew->instance().id(), "changed#2") << "the first one may still be stopping";
}

TEST_F(SupervisorTest, ShutdownStopsEverythingAndStartsNothing) {
  apply(manifest("echo"));
  ASSERT_TRUE(call("echo")->ok());
  bool done = false;
  supervisor_->shutdown([&] { done = true; });
  run_ready(loop_);
  EXPECT_TRUE(done);
  EXPECT_EQ(processes_.living(), 0u);
  EXPECT_EQ(call("echo")->reason(), Reason::kPluginStopped);
}

TEST_F(SupervisorTest, NamesAndVersionsAreFound) {
  apply(manifest("echo"));
  EXPECT_NE(supervisor_->find("echo"), nullptr);
  EXPECT_NE(supervisor_->find("echo@1.0.0"), nullptr);
  EXPECT_EQ(supervisor_->find("echo@2.0.0"), nullptr);
  const auto missing = supervisor_->status("nix");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().reason, Reason::kPluginNotFound);
  EXPECT_NE(missing.error().message.find("echo@1.0.0"), std::string::npos)
      << "the message names what there is";
}

TEST_F(SupervisorTest, EveryStateChangeIsAnEventWithACause) {
  apply(manifest("echo"));
  ASSERT_TRUE(call("echo")->ok());
  supervisor_->stop("echo", [](auto) {});
  run_ready(loop_);
  std::vector<InstanceState> states;
  std::uint64_t last = 0;
  for (const Event& event : events_) {
    EXPECT_GT(event.sequence, last);
    last = event.sequence;
    EXPECT_FALSE(event.cause.empty());
    if (event.kind == Event::Kind::kState) states.push_back(event.state);
  }
  EXPECT_EQ(states, (std::vector{InstanceState::kStarting, InstanceState::kReady,
                                 InstanceState::kStopping, InstanceState::kStopped}));
}

}  // namespace
}  // namespace plugind::plugin
