// What is kept of instances that end or cannot start, on a clock that the test moves.
#include "daemon/plugin/crash_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "daemon/plugin/instance.h"
#include "daemon/plugin/plugin.h"
#include "daemon/plugin/supervisor.h"
#include "tests/support/fake_connection.h"
#include "tests/support/fake_dialect.h"
#include "tests/support/fake_process.h"
#include "tests/support/manual_clock.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::run_ready;

class CrashReportTest : public ::testing::Test {
 protected:
  CrashReportTest() {
    char pattern[] = "/tmp/plugind-crash-XXXXXX";
    directory_ = ::mkdtemp(pattern);
    supervisor_ = std::make_unique<Supervisor>(Environment{
        .loop = loop_.get_executor(),
        .clock = clock_,
        .processes = processes_,
        .connector = connector_,
        .dialects = {{DialectKind::kNative, &dialect_}, {DialectKind::kGoPlugin, &dialect_}},
        .runtime_dir = directory_});
    apply(manifest());
  }
  ~CrashReportTest() override {
    supervisor_->shutdown([] {});
    clock_.advance(milliseconds(10'000));
    supervisor_.reset();
    std::filesystem::remove_all(directory_);
  }

  static Manifest manifest() {
    Manifest m;
    m.name = "text";
    m.version = "1.0.0";
    m.command = {"/bin/true"};
    m.restart_policy = RestartPolicy::kNever;
    m.restart_limit = 0;
    m.restart_backoff = milliseconds(0);
    return m;
  }
  void apply(Manifest m) {
    std::vector<Manifest> all;
    all.push_back(std::move(m));
    supervisor_->apply(std::move(all));
    run_ready(loop_);
  }
  /// A ready instance, or null.
  std::shared_ptr<Instance> start() {
    std::shared_ptr<Instance> started;
    const auto ticket = supervisor_->find("text")->wait_instance(
        0, 0, [&](const std::expected<std::shared_ptr<CallInstance>, Error>& result) {
          if (result) started = std::static_pointer_cast<Instance>(*result);
        });
    run_ready(loop_);
    return started;
  }
  /// A call on it asks why it is lost.
  void lose(Instance& instance, const std::string& method) {
    instance.explain_loss({method, 77, milliseconds(12)},
                          [this](const Error& error) { told_.push_back(error); });
  }
  void crash(int signal = SIGSEGV) {
    ASSERT_TRUE(start());
    processes_.last().die(signal);
    run_ready(loop_);
  }
  std::vector<CrashReport> reports() const { return *supervisor_->crashes("text"); }

  boost::asio::io_context loop_;
  testing::ManualClock clock_{loop_};
  testing::FakeProcessFactory processes_;
  testing::FakeConnector connector_{clock_};
  testing::FakeDialect dialect_;
  std::filesystem::path directory_;
  std::unique_ptr<Supervisor> supervisor_;
  std::vector<Error> told_;
};

TEST_F(CrashReportTest, SaysHowTheProcessEndedAndWhatItHadBeenDoing) {
  const auto began = clock_.wall_now();
  const auto instance = start();
  ASSERT_TRUE(instance);
  clock_.advance(milliseconds(70));
  lose(*instance, "/a.B/Before");
  processes_.last().print_stderr("panic\nlast words");
  processes_.last().end({.code = {},
                         .signal = SIGSEGV,
                         .core_dumped = true,
                         .core = {"/var/core.1", ""},
                         .use = ResourceUse{.user_time = milliseconds(3), .peak_memory = 42}});
  run_ready(loop_);
  lose(*instance, "/a.B/After");

  ASSERT_EQ(reports().size(), 1u);
  const CrashReport report = reports().front();
  EXPECT_EQ(report.number, 1u);
  EXPECT_EQ(report.instance, "text#1");
  EXPECT_EQ(report.version, "1.0.0");
  EXPECT_EQ(report.started, began);
  EXPECT_EQ(report.ended, began + milliseconds(70));
  EXPECT_EQ(report.ready_for, milliseconds(70));
  EXPECT_EQ(report.reason, Reason::kPluginCrashed);
  EXPECT_EQ(report.message,
            "plugin 'text' (pid 1000) ended with signal 11 (SIGSEGV), core dumped after 70 ms");
  EXPECT_EQ(report.pid, 1000);
  ASSERT_TRUE(report.exit);
  EXPECT_EQ(report.exit->signal, SIGSEGV);
  EXPECT_EQ(report.exit->core.file, "/var/core.1");
  ASSERT_TRUE(report.exit->use);
  EXPECT_EQ(report.exit->use->peak_memory, 42u);
  EXPECT_FALSE(report.killed);
  EXPECT_EQ(report.stderr_tail, "panic\nlast words");
  EXPECT_EQ(report.calls_lost, 2u);
  ASSERT_EQ(report.calls.size(), 2u);
  EXPECT_EQ(report.calls[0].method, "/a.B/Before");
  EXPECT_EQ(report.calls[1].method, "/a.B/After");
}

TEST_F(CrashReportTest, IsReferredToInTheCallersStatus) {
  const auto instance = start();
  ASSERT_TRUE(instance);
  lose(*instance, "/a.B/C");
  processes_.last().print_stderr("bad \xff bytes");
  processes_.last().end({.code = {}, .signal = SIGABRT, .core_dumped = true});
  run_ready(loop_);
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_.front().message,
            "plugin 'text' (pid 1000) ended with signal 6 (SIGABRT), core dumped after 0 ms; see "
            "`pluginctl crashes text`; its last stderr:\nbad \\xff bytes");
  const std::vector<std::pair<std::string, std::string>> facts{
      {"plugin", "text"}, {"signal", "6"}, {"core_dumped", "true"}, {"instance", "text#1"}};
  EXPECT_EQ(told_.front().details, facts);
}

TEST_F(CrashReportTest, TellsOfALackOfMemoryAndWhatToDo) {
  const auto told_of = [&](ExitStatus status, std::uint64_t limit) {
    Manifest m = manifest();
    m.restart_limit = 0;
    m.limits.memory = limit;
    apply(std::move(m));
    told_.clear();
    const auto instance = start();
    if (!instance) return std::string("not started");
    lose(*instance, "/a.B/C");
    processes_.last().end(std::move(status));
    run_ready(loop_);
    return told_.front().message;
  };
  const ExitStatus over{.code = {}, .signal = SIGKILL, .memory_kill = MemoryKill::kOverLimit};
  const ExitStatus likely{.code = {}, .signal = SIGKILL, .memory_kill = MemoryKill::kLikely};
  EXPECT_THAT(told_of(over, 1 << 20),
              HasSubstr("ended with signal 9 (SIGKILL), out of memory after 0 ms; raise "
                        "`limits.memory`, or have it use less; see"));
  EXPECT_EQ(told_.front().details.at(2),
            (std::pair<std::string, std::string>("out_of_memory", "limit")));
  EXPECT_THAT(told_of(likely, 1 << 20),
              HasSubstr("ended with signal 9 (SIGKILL), most likely out of memory after 0 ms; the "
                        "machine, or what plugind itself may use of it, has too little memory for "
                        "it; see"));
  EXPECT_EQ(told_.front().details.at(2),
            (std::pair<std::string, std::string>("out_of_memory", "likely")));
}

TEST_F(CrashReportTest, IsNotReferredToIfNoneIsKept) {
  Manifest m = manifest();
  m.crashes_keep = 0;
  apply(std::move(m));
  const auto instance = start();
  ASSERT_TRUE(instance);
  lose(*instance, "/a.B/C");
  processes_.last().die(SIGABRT);
  run_ready(loop_);
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_THAT(told_.front().message, Not(HasSubstr("pluginctl crashes")));
  EXPECT_TRUE(reports().empty());
}

TEST_F(CrashReportTest, TellsOfAFailedStart) {
  dialect_.next_error =
      make_error(Reason::kStartTimeout, "it was not ready after 60 s; its last stderr:\nwhy");
  dialect_.next_failed = FailedStart{.pid = 5,
                                     .exit = ExitStatus{.code = {}, .signal = SIGKILL},
                                     .killed = true,
                                     .message = "it was not ready after 60 s"};
  EXPECT_FALSE(start());
  ASSERT_EQ(reports().size(), 1u);
  const CrashReport report = reports().front();
  EXPECT_EQ(report.reason, Reason::kStartTimeout);
  EXPECT_EQ(report.message, "plugin 'text' cannot start: it was not ready after 60 s");
  EXPECT_FALSE(report.ready_for);
  EXPECT_EQ(report.pid, 5);
  EXPECT_TRUE(report.killed);
  EXPECT_EQ(report.exit->signal, SIGKILL);
}

TEST_F(CrashReportTest, TellsOfAStartWithoutAProcess) {
  dialect_.next_error = make_error(Reason::kExecutableMissing, "there is no /bin/x");
  EXPECT_FALSE(start());
  ASSERT_EQ(reports().size(), 1u);
  EXPECT_EQ(reports().front().message, "plugin 'text' cannot start: there is no /bin/x");
  EXPECT_EQ(reports().front().pid, 0);
  EXPECT_FALSE(reports().front().exit);
}

TEST_F(CrashReportTest, SaysThatTheDaemonKilledWhatTookNoConnectionAnyMore) {
  const auto instance = start();
  ASSERT_TRUE(instance);
  lose(*instance, "/a.B/C");
  connector_.on_connect = [](testing::FakeConnection&) {
    return testing::FakeConnector::Verdict::kRefuse;
  };
  connector_.last().fail();
  clock_.advance(milliseconds(2'000));
  ASSERT_EQ(reports().size(), 1u);
  const CrashReport report = reports().front();
  EXPECT_EQ(report.reason, Reason::kPluginProtocolError);
  EXPECT_TRUE(report.killed);
  EXPECT_EQ(report.exit->signal, SIGKILL);
  EXPECT_TRUE(report.ready_for);
  EXPECT_EQ(report.calls_lost, 1u);
}

TEST_F(CrashReportTest, ForgetsTheCallsOfAConnectionThatWasMadeAgain) {
  const auto instance = start();
  ASSERT_TRUE(instance);
  lose(*instance, "/a.B/C");
  connector_.last().fail();
  clock_.advance(milliseconds(500));
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_TRUE(reports().empty());
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  ASSERT_EQ(reports().size(), 1u);
  EXPECT_EQ(reports().front().calls_lost, 0u);
}

TEST_F(CrashReportTest, LeavesOutCallsOfAnotherConnectionThatWasOnlyClosed) {
  const auto instance = start();
  ASSERT_TRUE(instance);
  instance->explain_other_loss({"/a.B/C", 77, milliseconds(12)},
                               [this](const Error& error) { told_.push_back(error); });
  clock_.advance(milliseconds(500));
  ASSERT_EQ(told_.size(), 1u);
  EXPECT_EQ(told_.front().reason, Reason::kPluginProtocolError);
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  EXPECT_EQ(told_.size(), 1u);
  ASSERT_EQ(reports().size(), 1u);
  EXPECT_EQ(reports().front().calls_lost, 0u);
}

TEST_F(CrashReportTest, IsNotMadeOfWhatWasStoppedOrEndedAtRest) {
  auto instance = start();
  ASSERT_TRUE(instance);
  lose(*instance, "/a.B/C");
  supervisor_->stop("text", [](const auto&) {});
  clock_.advance(milliseconds(10'000));
  EXPECT_EQ(told_.size(), 1u);
  supervisor_->start("text", [](const auto&) {});
  run_ready(loop_);
  processes_.last().exit(0);
  run_ready(loop_);
  EXPECT_TRUE(reports().empty());
}

TEST_F(CrashReportTest, IsMadeOfAnEndWithCode0ThatTookCallsWithIt) {
  const auto instance = start();
  ASSERT_TRUE(instance);
  lose(*instance, "/a.B/C");
  processes_.last().exit(0);
  run_ready(loop_);
  ASSERT_EQ(reports().size(), 1u);
  EXPECT_THAT(reports().front().message, HasSubstr("exit code 0"));
  EXPECT_EQ(supervisor_->status("text")->failures, 0u);
}

TEST_F(CrashReportTest, SaysThatACoreInTheInstancesDirectoryIsGone) {
  ASSERT_TRUE(start());
  const std::string core = (dialect_.directories.back() / "core").string();
  processes_.last().end({.code = {}, .signal = SIGSEGV, .core_dumped = true, .core = {core, ""}});
  run_ready(loop_);
  ASSERT_EQ(reports().size(), 1u);
  EXPECT_EQ(reports().front().exit->core.file, "");
  EXPECT_THAT(reports().front().exit->core.note, HasSubstr("set working_directory"));
}

TEST_F(CrashReportTest, OutlivesAChangedManifestButNotARemovedPlugin) {
  crash();
  crash();
  Manifest m = manifest();
  m.version = "2";
  m.crashes_keep = 2;
  apply(m);
  crash();
  ASSERT_EQ(reports().size(), 2u);
  EXPECT_EQ(reports()[0].number, 3u);
  EXPECT_EQ(reports()[0].version, "2");
  EXPECT_EQ(reports()[1].version, "1.0.0");
  EXPECT_EQ(supervisor_->status("text")->crashes, 2u);
  ASSERT_TRUE(supervisor_->status("text")->last_crash);
  EXPECT_EQ(supervisor_->status("text")->last_crash->time, clock_.wall_now());
  EXPECT_EQ(supervisor_->status("text")->last_crash->message, reports()[0].message);

  supervisor_->apply({});
  EXPECT_EQ(supervisor_->crashes("text").error().reason, Reason::kPluginNotFound);
  apply(m);
  EXPECT_TRUE(reports().empty());
  EXPECT_FALSE(supervisor_->status("text")->last_crash);
}

}  // namespace
}  // namespace plugind::plugin
