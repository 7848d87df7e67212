// The exchange of a running plugin for another version: who serves which call, and the way back.
#include "daemon/plugin/upgrade.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using testing::run_ready;

class UpgradeTest : public SupervisorTest {
 protected:
  static Manifest version(const std::string& version, Scope scope = Scope::kShared) {
    Manifest m = manifest("echo");
    m.version = version;
    m.scope = scope;
    m.upgrade_probation = milliseconds(1'000);
    return m;
  }
  void upgrade(Manifest m) {
    outcome_.reset();
    // An upgrade that is under way at the end of a test answers when its members are gone.
    supervisor_->upgrade(std::move(m), [this, weak = std::weak_ptr<void>(alive_)](auto status) {
      if (!weak.expired()) outcome_ = std::move(status);
    });
    run_ready(loop_);
  }
  /// Which version serves a call of that host now.
  std::string serves(HostId host = 0) {
    const auto outcome = call("echo", host);
    return outcome->ok() ? outcome->instance().manifest().version : "";
  }
  std::optional<std::expected<PluginStatus, Error>> outcome_;
  const std::shared_ptr<void> alive_ = std::make_shared<int>(0);
};

TEST_F(UpgradeTest, NewCallsMoveWhenTheNewVersionIsReady) {
  apply(version("1"));
  ASSERT_EQ(serves(), "1");
  dialect_.start_takes = milliseconds(50);
  upgrade(version("2"));
  EXPECT_EQ(serves(), "1");
  clock_.advance(milliseconds(50));
  EXPECT_EQ(serves(), "2");
  EXPECT_FALSE(outcome_) << "it is on probation";
  EXPECT_EQ(processes_.living(), 2u) << "what ran before is kept in reserve";
  clock_.advance(milliseconds(1'000));
  ASSERT_TRUE(outcome_ && *outcome_);
  EXPECT_EQ((*outcome_)->manifest.version, "2");
  EXPECT_EQ(processes_.living(), 1u);
  EXPECT_EQ(serves(), "2");
}

TEST_F(UpgradeTest, ACallInFlightEndsOnTheVersionThatItBeganOn) {
  Manifest before = version("1");
  before.stop_drain = milliseconds(60'000);
  apply(std::move(before));
  const auto one = call("echo");
  one->instance().call_started();
  upgrade(version("2"));
  clock_.advance(milliseconds(5'000));
  ASSERT_TRUE(outcome_ && *outcome_);
  EXPECT_EQ(processes_.spawned.front()->terminated, 0);
  const auto status = supervisor_->status("echo");
  ASSERT_EQ(status->instances.size(), 2u) << "the status tells of both";
  one->instance().call_finished();
  run_ready(loop_);
  EXPECT_EQ(processes_.living(), 1u);
}

TEST_F(UpgradeTest, AVersionThatDoesNotStartChangesNothing) {
  apply(version("1"));
  ASSERT_EQ(serves(), "1");
  dialect_.next_error = make_error(Reason::kExecutableMissing, "/opt/none does not exist");
  upgrade(version("2"));
  ASSERT_TRUE(outcome_ && !*outcome_);
  EXPECT_EQ(outcome_->error().reason, Reason::kExecutableMissing);
  EXPECT_EQ(outcome_->error().message,
            "the upgrade has failed, and what ran before goes on: plugin 'echo' cannot start: "
            "/opt/none does not exist");
  EXPECT_EQ(serves(), "1");
  EXPECT_EQ(dialect_.starts, 2);
  EXPECT_EQ(processes_.living(), 1u);
}

TEST_F(UpgradeTest, ACrashOnProbationGivesTheCallsBackToWhatRanBefore) {
  apply(version("1"));
  ASSERT_EQ(serves(), "1");
  upgrade(version("2"));
  ASSERT_EQ(serves(), "2");
  clock_.advance(milliseconds(999));
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  ASSERT_TRUE(outcome_ && !*outcome_);
  EXPECT_NE(outcome_->error().message.find("rolled back"), std::string::npos);
  EXPECT_NE(outcome_->error().message.find("SIGSEGV"), std::string::npos);
  EXPECT_EQ(serves(), "1");
  EXPECT_EQ(supervisor_->status("echo")->manifest.version, "1");
  EXPECT_TRUE(processes_.spawned.front()->alive()) << "it was kept";
  settle();
  EXPECT_EQ(processes_.living(), 1u) << "no instance of the new version is left";
}

TEST_F(UpgradeTest, OneThatIsUnhealthyOnProbationGivesTheCallsBack) {
  apply(version("1"));
  ASSERT_EQ(serves(), "1");
  Manifest next = version("2");
  next.health_interval = milliseconds(200);
  next.health_failures = 2;
  upgrade(std::move(next));
  ASSERT_EQ(serves(), "2");
  dialect_.ailment = "its health service says NOT_SERVING";
  clock_.advance(milliseconds(399));
  EXPECT_FALSE(outcome_);
  EXPECT_EQ(serves(), "2");
  clock_.advance(milliseconds(1));
  ASSERT_TRUE(outcome_ && !*outcome_);
  EXPECT_NE(outcome_->error().message.find("rolled back"), std::string::npos);
  EXPECT_NE(outcome_->error().message.find("failed 2 health checks in a row"), std::string::npos)
      << outcome_->error().message;
  EXPECT_EQ(serves(), "1");
  EXPECT_EQ(supervisor_->status("echo")->manifest.version, "1");
  EXPECT_TRUE(processes_.spawned.front()->alive()) << "it was kept";
  settle();
  EXPECT_EQ(processes_.living(), 1u) << "no instance of the new version is left";
}

TEST_F(UpgradeTest, AfterItsProbationACrashIsLikeAnyOther) {
  apply(version("1"));
  ASSERT_EQ(serves(), "1");
  upgrade(version("2"));
  clock_.advance(milliseconds(1'000));
  ASSERT_TRUE(outcome_ && *outcome_);
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  EXPECT_EQ(serves(), "2");
}

TEST_F(UpgradeTest, AHostKeepsItsOwnInstanceAndNewHostsGetTheNewVersion) {
  apply(version("1", Scope::kHost));
  ASSERT_EQ(serves(1), "1");
  upgrade(version("2", Scope::kHost));
  clock_.advance(milliseconds(1'000));
  ASSERT_TRUE(outcome_ && *outcome_);
  EXPECT_EQ(serves(1), "1");
  EXPECT_EQ(serves(2), "2");
  EXPECT_EQ(dialect_.starts, 2) << "the instance that was tried is the next host's";
  supervisor_->host_gone(1);
  settle();
  EXPECT_EQ(processes_.living(), 1u);
  EXPECT_EQ(serves(1), "2");
}

TEST_F(UpgradeTest, AHostThatHasGoneBeforeItStillEndsItsInstance) {
  Manifest m = version("1", Scope::kHost);
  m.host_linger = milliseconds(5'000);
  apply(m);
  ASSERT_EQ(serves(1), "1");
  supervisor_->host_gone(1);
  clock_.advance(milliseconds(100));
  m.version = "2";
  upgrade(m);
  clock_.advance(milliseconds(6'000));
  EXPECT_FALSE(processes_.spawned.front()->alive());
}

TEST_F(UpgradeTest, ARollBackLeavesHostsThatWereThereBeforeWithWhatTheyHad) {
  apply(version("1", Scope::kHost));
  ASSERT_EQ(serves(1), "1");
  upgrade(version("2", Scope::kHost));
  ASSERT_EQ(serves(2), "2");
  ASSERT_EQ(serves(3), "2");
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  ASSERT_TRUE(outcome_ && !*outcome_);
  EXPECT_EQ(serves(1), "1");
  EXPECT_EQ(serves(2), "1");
  settle();
  EXPECT_EQ(processes_.living(), 2u) << "one of each host";
}

TEST_F(UpgradeTest, ACallThatWaitsWhileVersionsChangeIsServed) {
  dialect_.start_takes = milliseconds(500);
  apply(version("1"));
  const auto waiting = call("echo");
  upgrade(version("2"));
  // The first one is 500 ms from being ready, and so is the second one.
  clock_.advance(milliseconds(600));
  EXPECT_TRUE(waiting->ok());
}

TEST_F(UpgradeTest, ACallThatComesToTheFormerVersionIsServedByTheNewOne) {
  apply(version("1"));
  ASSERT_EQ(serves(), "1");
  const auto before = std::static_pointer_cast<Plugin>(supervisor_->target("echo"));
  Manifest next = version("2");
  apply(next);
  std::optional<std::string> served;
  const auto ticket = before->wait_instance(0, 0, [&](const auto& instance) {
    served = instance ? std::static_pointer_cast<Instance>(*instance)->manifest().version
                      : instance.error().message;
  });
  run_ready(loop_);
  EXPECT_EQ(served, "2");
}

TEST_F(UpgradeTest, OneAtATime) {
  apply(version("1"));
  upgrade(version("2"));
  std::optional<Error> refused;
  supervisor_->upgrade(version("3"), [&](auto status) { refused = status.error(); });
  run_ready(loop_);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->reason, Reason::kUpgradeRuns);
  clock_.advance(milliseconds(1'000));
  upgrade(version("3"));
  clock_.advance(milliseconds(1'000));
  EXPECT_EQ(serves(), "3");
}

TEST_F(UpgradeTest, AReloadInBetweenWins) {
  apply(version("1"));
  ASSERT_EQ(serves(), "1");
  upgrade(version("2"));
  apply(version("4"));
  clock_.advance(milliseconds(1'000));
  ASSERT_TRUE(outcome_ && !*outcome_);
  EXPECT_EQ(serves(), "4");
  settle();
  EXPECT_EQ(processes_.living(), 1u);
}

TEST_F(UpgradeTest, AReloadDuringTheStartWins) {
  apply(version("1"));
  ASSERT_EQ(serves(), "1");
  dialect_.start_takes = milliseconds(500);
  upgrade(version("2"));
  apply(version("4"));
  clock_.advance(milliseconds(500));
  ASSERT_TRUE(outcome_ && !*outcome_);
  settle();
  dialect_.start_takes = milliseconds(0);
  EXPECT_EQ(serves(), "4");
  EXPECT_EQ(processes_.living(), 1u);
}

TEST_F(UpgradeTest, TheDaemonsEndStopsBothVersions) {
  apply(version("1"));
  ASSERT_EQ(serves(), "1");
  upgrade(version("2"));
  ASSERT_EQ(processes_.living(), 2u);
  bool done = false;
  supervisor_->shutdown([&] { done = true; });
  settle();
  EXPECT_TRUE(done);
  EXPECT_EQ(processes_.living(), 0u);
  ASSERT_TRUE(outcome_ && !*outcome_);
  EXPECT_EQ(outcome_->error().reason, Reason::kDraining);
}

TEST_F(UpgradeTest, AConnectionThatClosesOnProbationEndsItsInstanceOfTheOldScope) {
  apply(version("1", Scope::kConnection));
  ASSERT_EQ(serves(7), "1");
  upgrade(version("2", Scope::kShared));
  ASSERT_EQ(serves(7), "2");
  supervisor_->host_gone(7);
  run_ready(loop_);
  EXPECT_FALSE(processes_.spawned.front()->alive());
}

TEST_F(UpgradeTest, WhoFollowsTheOutputGetsThatOfTheNextVersion) {
  apply(version("1"));
  ASSERT_EQ(serves(), "1");
  auto old = supervisor_->target("echo");
  std::vector<std::string> seen;
  const auto following =
      old->follow_output(0, [&](const LogLine& line) { seen.push_back(line.text); });
  processes_.last().print_stdout("one\n");
  apply(version("2"));
  ASSERT_EQ(serves(), "2");
  processes_.last().print_stdout("two\n");
  old.reset();  // Loops beside the home loop do not keep it.
  settle();
  processes_.last().print_stdout("three\n");
  EXPECT_EQ(seen, (std::vector<std::string>{"one", "two"}));
}

}  // namespace
}  // namespace plugind::plugin
