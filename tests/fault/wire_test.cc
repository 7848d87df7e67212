// Plugins that break HTTP/2, close what they should keep open, or do not answer: each call ends
// with a status that says so, nobody else notices, and the plugin can be called again.
#include <gmock/gmock.h>

#include <future>

#include "tests/fault/fault_test.h"

namespace plugind::e2e {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Pair;

class Wire : public FaultTest {
 protected:
  void SetUp() override {
    manifest("wire", {kWirePlugin});
    manifest("echo", {kTestPlugin}, "services = ['echo.v1.Echo']\n");
    start();
    ASSERT_EQ(answer("wire", "warm"), "warm");
    ASSERT_EQ(answer("echo", "warm"), "warm");
    pid_ = pid_of("wire");
    take_stock();
    others_ = std::make_unique<Callers>(
        2, [this] { return front(); }, "echo");
    channel_ = front();
    memory_ = daemon_info().resident_bytes();
  }
  void TearDown() override {
    if (others_ != nullptr) {
      const Outcomes outcomes = others_->end();
      EXPECT_THAT(outcomes, ::testing::ElementsAre(::testing::Key("OK"))) << "of another plugin";
    }
    channel_.reset();
    FaultTest::TearDown();
  }

  std::uint64_t calls_in_flight() const {
    const v1::Plugin plugin = get_plugin("wire");
    return plugin.instances_size() == 1 ? plugin.instances(0).calls_in_flight() : 0;
  }
  /// A call that the plugin does not answer; it is on its connection when this returns.
  std::future<grpc::Status> held_call() {
    auto held = std::async(std::launch::async, [this] { return faulty_call(channel_, "hold"); });
    EXPECT_TRUE(eventually([this] { return calls_in_flight() == 1; }));
    return held;
  }
  void expect_told(const grpc::Status& status, const std::string& text) {
    EXPECT_EQ(outcome_of(status), "status 14 PLUGIN_PROTOCOL_ERROR");
    EXPECT_THAT(
        status.error_message(),
        AllOf(HasSubstr("plugin 'wire' (pid " + std::to_string(pid_) + ") "), HasSubstr(text)));
  }

  std::int64_t pid_ = 0;
  std::uint64_t memory_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Callers> others_;
};

class BrokenHttp2 : public Wire, public ::testing::WithParamInterface<const char*> {};

TEST_P(BrokenHttp2, EndsItsCallsAndTheNextOneIsAnswered) {
  auto held = held_call();
  expect_told(faulty_call(channel_, GetParam()), "broke HTTP/2");
  expect_told(held.get(), "broke HTTP/2");
  EXPECT_EQ(answer("wire", "hello"), "hello");
  EXPECT_EQ(pid_of("wire"), pid_) << "it took a new connection";
  if (!kSanitized) {
    EXPECT_LT(daemon_info().resident_bytes(), memory_ + (8 << 20));
  }
}

INSTANTIATE_TEST_SUITE_P(By, BrokenHttp2,
                         ::testing::Values("garbage", "frame-over-the-limit",
                                           "data-outside-streams", "data-never-opened",
                                           "headers-never-opened", "header-block-that-is-none",
                                           "settings-of-no-size", "push", "continuation-of-nothing",
                                           "window-over-the-limit", "endless-continuation",
                                           "settings-flood"),
                         [](const auto& fault) {
                           std::string name;
                           bool capital = true;
                           for (const char* c = fault.param; *c != '\0'; ++c) {
                             if (*c != '-')
                               name += capital ? static_cast<char>(std::toupper(*c)) : *c;
                             capital = *c == '-';
                           }
                           return name;
                         });

TEST_F(Wire, AFloodOfResetsEndsOneCallOnly) {
  auto held = held_call();
  EXPECT_EQ(outcome_of(faulty_call(channel_, "reset-flood")),
            "status 13 Received RST_STREAM with error code 2");
  EXPECT_EQ(answer("wire", "hello"), "hello");
  EXPECT_EQ(calls_in_flight(), 1u) << "the other one";
  faulty_call(channel_, "hang-up");
  expect_told(held.get(), "closed its connection");
}

TEST_F(Wire, AClosedConnectionIsMadeAgain) {
  for (const char* fault : {"hang-up", "half-a-frame"}) {
    auto held = held_call();
    expect_told(faulty_call(channel_, fault), "closed its connection");
    expect_told(held.get(), "closed its connection");
    EXPECT_EQ(answer("wire", "hello"), "hello") << fault;
    EXPECT_EQ(pid_of("wire"), pid_) << fault;
  }
}

TEST_F(Wire, OneThatIsClosedWhileNobodyCallsIsMadeAgain) {
  manifest("idle", {kTestPlugin});
  Context context;
  v1::ReloadManifestsResponse response;
  ASSERT_TRUE(control()->ReloadManifests(&context, {}, &response).ok());
  const std::string pid = answer("idle", "!pid");
  // The command is answered, if at all, before the connection goes.
  call(front(), "!hang-up", nullptr, "idle");
  EXPECT_EQ(answer("idle", "!pid"), pid);
  v1::StopPluginRequest request;
  request.set_name("idle");
  Context stopping;
  v1::StopPluginResponse stopped;
  EXPECT_TRUE(control()->StopPlugin(&stopping, request, &stopped).ok());
  directory_.remove("manifests/idle.toml");
  Context again;
  EXPECT_TRUE(control()->ReloadManifests(&again, {}, &response).ok());
}

TEST_F(Wire, APluginThatKeepsNoConnectionIsKilledAndStartedAgain) {
  // Five, unless the test stands still so long that one of them is no longer lost at once.
  int lost = 0;
  for (; pid_of("wire") == pid_ && lost < 50; ++lost) {
    expect_told(faulty_call(channel_, "hang-up"), "closed its connection");
    EXPECT_EQ(answer("wire", "hello"), "hello");
  }
  EXPECT_GE(lost, 5);
  EXPECT_FALSE(testing::alive(static_cast<pid_t>(pid_)));
  EXPECT_THAT(get_plugin("wire").last_failure(), HasSubstr("lost 5 connections in a row"));
}

class Unreachable : public Wire, public ::testing::WithParamInterface<const char*> {};

TEST_P(Unreachable, APluginIsKilledAndStartedAgain) {
  auto held = held_call();
  expect_told(faulty_call(channel_, GetParam()), "closed its connection");
  expect_told(held.get(), "closed its connection");
  EXPECT_EQ(answer("wire", "hello"), "hello");
  EXPECT_FALSE(testing::alive(static_cast<pid_t>(pid_)));
  EXPECT_NE(pid_of("wire"), pid_);
  EXPECT_EQ(get_plugin("wire").failures(), 1u);
}

INSTANTIATE_TEST_SUITE_P(By, Unreachable,
                         ::testing::Values("hang-up-for-good", "hang-up-and-be-silent"),
                         [](const auto& fault) {
                           return std::string(fault.param).ends_with("good") ? "AClosedSocket"
                                                                             : "Silence";
                         });

/// How a start goes wrong, and what its caller is told.
struct BadStart {
  const char* name;
  const char* option;
  const char* outcome;
  const char* text;
};

class GreetsWrongly : public FaultTest, public ::testing::WithParamInterface<BadStart> {};

TEST_P(GreetsWrongly, AndIsNotStarted) {
  manifest("bad", {kWirePlugin, GetParam().option}, "start.timeout = '300ms'\n");
  manifest("echo", {kTestPlugin}, "services = ['echo.v1.Echo']\n");
  start();
  ASSERT_EQ(answer("echo", "warm"), "warm");
  take_stock();
  Callers others(
      2, [this] { return front(); }, "echo");
  Callers callers(
      4, [this] { return front(); }, "bad");
  const Outcomes outcomes = callers.end();
  // Those that come after some failed starts are not made to wait for another one.
  for (const auto& [outcome, count] : outcomes) {
    EXPECT_THAT(outcome, ::testing::AnyOf(GetParam().outcome, "status 14 CRASH_LOOP"));
  }
  EXPECT_THAT(outcomes, ::testing::Contains(Pair(GetParam().outcome, Ge(4))));
  const Told failed = failure("bad");
  EXPECT_THAT(failed.message, HasSubstr(GetParam().text));
  EXPECT_THAT(others.end(), ::testing::ElementsAre(::testing::Key("OK")));
  v1::StopPluginRequest request;
  request.set_name("bad");
  Context context;
  v1::StopPluginResponse response;
  EXPECT_TRUE(control()->StopPlugin(&context, request, &response).ok());
}

INSTANTIATE_TEST_SUITE_P(
    By, GreetsWrongly,
    ::testing::Values(BadStart{"SilentHealth", "--health=silent", "status 14 START_TIMEOUT",
                               "did not answer grpc.health.v1.Health/Check"},
                      BadStart{"Silence", "--greeting=silent", "status 14 START_TIMEOUT",
                               "no HTTP/2 settings came from it"},
                      BadStart{"HalfItsSettings", "--greeting=half-settings",
                               "status 14 START_TIMEOUT", "no HTTP/2 settings came from it"},
                      BadStart{"Garbage", "--greeting=garbage", "status 14 START_TIMEOUT",
                               "it does not speak HTTP/2 (protocol error: "},
                      BadStart{"Http1", "--greeting=http1", "status 14 START_TIMEOUT",
                               "it does not speak HTTP/2 (protocol error: "},
                      BadStart{"ClosingIt", "--greeting=close", "status 14 START_TIMEOUT",
                               "it closed the connection before its HTTP/2 settings"}),
    [](const auto& bad) { return std::string(bad.param.name); });

}  // namespace
}  // namespace plugind::e2e
