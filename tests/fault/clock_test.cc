// The wall clock jumps, by a day in both directions: whatever waits in the daemon waits as long as
// before, and only the times that it tells are other ones.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <future>
#include <string>

#include "tests/fault/fault_test.h"

namespace plugind::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;

constexpr std::int64_t kDay = 86'400;  // s

class Clock : public FaultTest, public ::testing::WithParamInterface<std::int64_t> {
 protected:
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "a sanitizer's runtime must be loaded before anything else";
    const std::string file = directory_.path() / "clock";
    directory_.write("clock", std::string(sizeof(std::int64_t), '\0'));
    const int descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_NE(descriptor, -1);
    void* const memory =
        ::mmap(nullptr, sizeof(std::int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    ::close(descriptor);
    ASSERT_NE(memory, MAP_FAILED);
    shift_ = static_cast<std::atomic<std::int64_t>*>(memory);
  }
  void TearDown() override {
    FaultTest::TearDown();
    if (shift_ != nullptr) ::munmap(shift_, sizeof(std::int64_t));
  }
  /// A daemon whose wall clock this test moves.
  void start_shifted() {
    start({}, {"env", "LD_PRELOAD=" SHIFTED_CLOCK,
               "SHIFTED_CLOCK=" + (directory_.path() / "clock").string(), kPlugind});
  }
  /// By the parameter, and sees that the daemon's clock has jumped.
  void jump() {
    *shift_ += GetParam();
    manifest("marker-" + std::to_string(++markers_), {kTestPlugin});
    Context context;
    v1::ReloadManifestsResponse response;
    ASSERT_TRUE(control()->ReloadManifests(&context, {}, &response).ok());
    const v1::Plugin marker = get_plugin("marker-" + std::to_string(markers_));
    directory_.remove("manifests/marker-" + std::to_string(markers_) + ".toml");
    Context again;
    ASSERT_TRUE(control()->ReloadManifests(&again, {}, &response).ok());
    const auto real = std::chrono::system_clock::now().time_since_epoch();
    const std::int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(real).count();
    EXPECT_NEAR(static_cast<double>(marker.since().seconds()),
                static_cast<double>(seconds + *shift_), kDay / 2.0);
  }
  void wait_state(const std::string& plugin, v1::InstanceState state) {
    EXPECT_TRUE(eventually([&] { return get_plugin(plugin).state() == state; }))
        << get_plugin(plugin).DebugString();
  }
  testing::Run pluginctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PLUGINCTL, "--socket", directory_.socket().string()});
    return testing::run(std::move(arguments));
  }

 private:
  std::atomic<std::int64_t>* shift_ = nullptr;
  int markers_ = 0;
};

TEST_P(Clock, JumpsAndDeadlinesOfCallsStay) {
  manifest("echo", {kTestPlugin}, "services = ['echo.v1.Echo']\n");
  // This plugin does not look at the deadlines of its calls.
  manifest("bounded", {kWirePlugin}, "calls.timeout_max = '1s'\n");
  manifest("patient", {kWirePlugin}, "calls.timeout_max = '1h'\nstop.drain = '300ms'\n");
  start_shifted();
  for (const char* plugin : {"echo", "bounded", "patient"}) ASSERT_EQ(answer(plugin, "hi"), "hi");
  take_stock();
  Callers others(
      4, [this] { return front(); }, "echo");
  const auto hold = [this](const char* plugin) { return faulty_call(front(), "hold", plugin); };
  auto bounded = std::async(std::launch::async, hold, "bounded");
  auto patient = std::async(std::launch::async, hold, "patient");
  EXPECT_TRUE(eventually([this] { return get_plugin("patient").instances(0).calls_in_flight(); }));
  EXPECT_TRUE(eventually([this] { return get_plugin("bounded").calls() == 2; }));
  jump();
  EXPECT_EQ(outcome_of(bounded.get()), "status 4 CALL_TIMEOUT");
  EXPECT_EQ(get_plugin("patient").instances(0).calls_in_flight(), 1u);
  EXPECT_EQ(pluginctl({"stop", "patient"}).exit, Exit{.code = 0}) << "drain is not given a day";
  EXPECT_EQ(outcome_of(patient.get()), "status 14 PLUGIN_STOPPED");
  EXPECT_THAT(others.end(), ElementsAre(Key("OK")));
}

TEST_P(Clock, JumpsAndStartsStopsAndPausesStay) {
  manifest("silent", {kMisbehave, "silent"}, "start.timeout = '2s'\n");
  manifest("stubborn", {kTestPlugin, "--ignore-term"}, "stop.grace = '1s'\n");
  manifest("crashing", {kTestPlugin},
           "restart = { backoff = '500ms', backoff_max = '500ms', limit = 4, window = '12h' }\n");
  start_shifted();
  ASSERT_EQ(answer("stubborn", "hi"), "hi");
  ASSERT_EQ(answer("crashing", "hi"), "hi");
  take_stock();

  testing::ChildProcess starting({PLUGINCTL, "--socket", directory_.socket(), "start", "silent"});
  wait_state("silent", v1::INSTANCE_STATE_STARTING);
  testing::ChildProcess stopping({PLUGINCTL, "--socket", directory_.socket(), "stop", "stubborn"});
  wait_state("stubborn", v1::INSTANCE_STATE_STOPPING);
  jump();
  EXPECT_EQ(starting.wait(), Exit{.code = 1});
  EXPECT_THAT(starting.err(), HasSubstr("START_TIMEOUT"));
  EXPECT_EQ(stopping.wait(), Exit{.code = 0});

  // Jumps between failures take none of them out of the window, and make no pause longer.
  for (int failure = 1; failure <= 4; ++failure) {
    std::int64_t pid = 0;
    EXPECT_TRUE(eventually([&] {
      if (failure == 1) answer("crashing", "hi");
      const v1::Plugin plugin = get_plugin("crashing");
      if (plugin.state() == v1::INSTANCE_STATE_READY) pid = plugin.instances(0).pid();
      return pid != 0;
    })) << failure;
    ::kill(static_cast<pid_t>(pid), SIGKILL);
    EXPECT_TRUE(eventually(
        [&] { return get_plugin("crashing").failures() == static_cast<std::uint64_t>(failure); }));
    jump();
  }
  EXPECT_EQ(get_plugin("crashing").state(), v1::INSTANCE_STATE_FAILED);
  EXPECT_EQ(failure("crashing").reason, "CRASH_LOOP");
}

// Lines keep their order, which is that in which they came; each has the time that the clock
// showed. So `--since` after a jump back shows the lines of before the jump, too.
TEST_P(Clock, JumpsAndLogsKeepTheirOrder) {
  manifest("echo", {kTestPlugin});
  start_shifted();
  answer("echo", "!say before");
  take_stock();
  EXPECT_TRUE(eventually([this] { return pluginctl({"logs", "echo"}).out.ends_with("before\n"); }));
  jump();
  answer("echo", "!say after");
  EXPECT_TRUE(eventually([this] { return pluginctl({"logs", "echo"}).out.ends_with("after\n"); }));
  const std::string all = pluginctl({"logs", "echo"}).out;
  EXPECT_LT(all.find("before"), all.find("after")) << all;
  // As of the daemon's clock.
  const bool back = GetParam() < 0;
  const std::string since = pluginctl({"logs", "echo", "--since", back ? "36h" : "1h"}).out;
  EXPECT_THAT(since, HasSubstr("after"));
  const std::string recent = pluginctl({"logs", "echo", "--since", "1h"}).out;
  EXPECT_EQ(recent.find("after") != std::string::npos, !back) << recent;
  EXPECT_NE(recent.find("before"), std::string::npos) << recent;
}

INSTANTIATE_TEST_SUITE_P(Of, Clock, ::testing::Values(kDay, -kDay), [](const auto& jump) {
  return std::string(jump.param > 0 ? "ADayForward" : "ADayBack");
});

}  // namespace
}  // namespace plugind::e2e
