// The doctor on dialects that a test plays, and what it makes of the past.
#include "daemon/plugin/doctor.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "tests/support/fake_connection.h"
#include "tests/support/fake_dialect.h"
#include "tests/support/fake_process.h"
#include "tests/support/manual_clock.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using testing::run_ready;

PluginStatus status_of(const std::string& name) {
  PluginStatus status;
  status.manifest.name = name;
  status.manifest.command = {"/bin/true"};
  return status;
}

class DoctorTest : public ::testing::Test {
 protected:
  ~DoctorTest() override {
    stop();
    EXPECT_TRUE(stopped_);
    EXPECT_TRUE(no_directory_left());
    std::filesystem::remove_all(directory_);
  }
  bool no_directory_left() const {
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      if (!std::filesystem::is_empty(entry)) return false;
    }
    return true;
  }

  static std::filesystem::path make_directory() {
    char pattern[] = "/tmp/plugind-doctor-XXXXXX";
    return ::mkdtemp(pattern);
  }

  struct Outcome {
    std::optional<std::expected<std::vector<Finding>, Error>> value;
    const std::vector<Finding>& findings() const { return value->value(); }
  };
  std::shared_ptr<Outcome> examine(std::vector<PluginStatus> plugins) {
    auto outcome = std::make_shared<Outcome>();
    doctor_.examine(std::move(plugins),
                    [outcome](auto found) { outcome->value = std::move(found); });
    run_ready(loop_);
    return outcome;
  }
  void stop() {
    doctor_.stop([this] { stopped_ = true; });
    run_ready(loop_);
  }

  boost::asio::io_context loop_;
  testing::ManualClock clock_{loop_};
  testing::FakeProcessFactory processes_;
  testing::FakeConnector connector_{clock_};
  testing::FakeDialect dialect_;
  const std::filesystem::path directory_ = make_directory();
  bool stopped_ = false;
  Doctor doctor_{Environment{
      .loop = loop_.get_executor(),
      .clock = clock_,
      .processes = processes_,
      .connector = connector_,
      .dialects = {{DialectKind::kNative, &dialect_}, {DialectKind::kGoPlugin, &dialect_}},
      .runtime_dir = directory_}};
};

TEST_F(DoctorTest, EachPluginIsLookedAtInADirectoryOfItsOwn) {
  dialect_.findings = {{Severity::kWarning, "limits", "", "one", ""}};
  PluginStatus other = status_of("other");
  other.manifest.run_as.emplace();
  const auto outcome = examine({status_of("kv"), other});
  ASSERT_TRUE(outcome->value && *outcome->value);
  ASSERT_EQ(outcome->findings().size(), 2u);
  EXPECT_EQ(outcome->findings()[0], (Finding{Severity::kWarning, "limits", "kv", "one", ""}));
  EXPECT_EQ(outcome->findings()[1].plugin, "other");
  ASSERT_EQ(dialect_.examined.size(), 2u);
  EXPECT_EQ(dialect_.examined[0], directory_ / "instances" / "doctor1");
  EXPECT_EQ(dialect_.examined[1], directory_ / "users" / "doctor2");
}

TEST_F(DoctorTest, ADirectoryThatCannotBeMadeIsTold) {
  std::filesystem::remove_all(directory_);
  std::ofstream(directory_.string()) << "a file";
  const auto outcome = examine({status_of("kv")});
  std::filesystem::remove(directory_);
  std::filesystem::create_directory(directory_);
  ASSERT_EQ(outcome->findings().size(), 1u);
  EXPECT_EQ(outcome->findings()[0].check, "runtime-dir");
  EXPECT_NE(outcome->findings()[0].what.find("Not a directory"), std::string::npos);
  EXPECT_TRUE(dialect_.examined.empty());
}

TEST_F(DoctorTest, SoManyAtATimeAndNoMore) {
  dialect_.examine_takes = milliseconds(50);
  std::vector<std::shared_ptr<Outcome>> outcomes;
  for (std::size_t i = 0; i < Doctor::kMostAtOnce; ++i)
    outcomes.push_back(examine({status_of("kv")}));
  const auto refused = examine({status_of("kv")});
  ASSERT_TRUE(refused->value && !*refused->value);
  EXPECT_EQ(refused->value->error().reason, Reason::kTooManyDiagnoses);
  EXPECT_FALSE(outcomes[0]->value);
  clock_.advance(milliseconds(50));
  for (const auto& outcome : outcomes) EXPECT_TRUE(outcome->value && *outcome->value);
  const auto later = examine({status_of("kv")});
  clock_.advance(milliseconds(50));
  EXPECT_TRUE(later->value && *later->value);
}

TEST_F(DoctorTest, StoppingEndsWhatIsUnderWay) {
  dialect_.examine_takes = milliseconds(50);
  const auto outcome = examine({status_of("kv"), status_of("other")});
  EXPECT_FALSE(outcome->value);
  stop();
  EXPECT_TRUE(stopped_);
  ASSERT_TRUE(outcome->value && !*outcome->value);
  EXPECT_EQ(outcome->value->error().reason, Reason::kDraining);
  EXPECT_EQ(clock_.sleepers(), 0u);
  EXPECT_EQ(dialect_.examined.size(), 1u);
  const auto late = examine({status_of("kv")});
  EXPECT_EQ(late->value->error().reason, Reason::kDraining);
}

TEST(RememberedTest, APluginThatNeverFailedIsWell) {
  EXPECT_TRUE(remembered(status_of("kv"), false).empty());
}

TEST(RememberedTest, ACrashLoopIsAnError) {
  PluginStatus status = status_of("kv");
  status.failures = 5;
  status.last_failure = "it ended with exit code 3";
  status.crash_loop = true;
  const auto findings = remembered(status, true);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].severity, Severity::kError);
  EXPECT_EQ(findings[0].what,
            "it failed too often in a short time and is not started again by itself; last: it "
            "ended with exit code 3");
  EXPECT_EQ(findings[0].remedy, "mend it, then run `pluginctl restart kv`");
}

TEST(RememberedTest, AFailureIsAnErrorUnlessItRunsOrTheCauseIsKnown) {
  PluginStatus status = status_of("kv");
  status.failures = 1;
  status.last_failure = "exit code 3";
  ASSERT_EQ(remembered(status, false).size(), 1u);
  EXPECT_EQ(remembered(status, false)[0].severity, Severity::kError);
  EXPECT_EQ(remembered(status, false)[0].what,
            "it has failed 1 time and does not run; last: exit code 3");
  EXPECT_TRUE(remembered(status, true).empty());
  status.instances.resize(2);
  status.instances[1].state = InstanceState::kReady;
  ASSERT_EQ(remembered(status, false).size(), 1u);
  EXPECT_EQ(remembered(status, false)[0].severity, Severity::kWarning);
}

TEST(RememberedTest, AFileThatCannotBeWrittenIsAWarning) {
  PluginStatus status = status_of("kv");
  status.output_file = "/log/kv.log";
  EXPECT_TRUE(remembered(status, false).empty());
  status.output_problem = "cannot write to /log/kv.log: it is full";
  const auto findings = remembered(status, false);
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].severity, Severity::kWarning);
  EXPECT_EQ(findings[0].check, "output");
  EXPECT_EQ(findings[0].what,
            "what it prints is not in its file: cannot write to /log/kv.log: it is full");
}

TEST(RememberedTest, WhoKeepsItFromStarting) {
  PluginStatus status = status_of("kv");
  status.manifest.start_mode = StartMode::kManual;
  ASSERT_EQ(remembered(status, false).size(), 1u);
  EXPECT_EQ(remembered(status, false)[0].severity, Severity::kNote);
  EXPECT_NE(remembered(status, false)[0].what.find("\"manual\""), std::string::npos);
  status.held = true;
  ASSERT_EQ(remembered(status, false).size(), 1u);
  EXPECT_NE(remembered(status, false)[0].what.find("by an operator"), std::string::npos);
  status.held = false;
  status.instances.resize(1);
  EXPECT_TRUE(remembered(status, false).empty());
}

TEST(FindingTest, TheRemedyIsNotToldTwice) {
  const Finding one =
      finding_of("program", make_error(Reason::kSpawnFailed, "it is not there", "install it"));
  EXPECT_EQ(one, (Finding{Severity::kError, "program", "", "it is not there", "install it"}));
  // As callers of a start are told, in a longer sentence.
  Error error = make_error(Reason::kSpawnFailed, "it is not there", "install it", "; ");
  error.message = "plugin 'kv' cannot start: " + error.message;
  EXPECT_EQ(finding_of("program", error).what, "plugin 'kv' cannot start: it is not there");
  EXPECT_EQ(finding_of("program", make_error(Reason::kSystem, "odd: ")).what, "odd: ");
}

}  // namespace
}  // namespace plugind::plugin
