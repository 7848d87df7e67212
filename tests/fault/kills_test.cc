// Instances that are killed again and again while they are called: an account of every call.
#include <gmock/gmock.h>
#include <signal.h>

#include <string>

#include "tests/fault/ledger.h"

namespace plugind::e2e {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::Key;

constexpr int kCallers = 8;
constexpr int kKills = 1'000;

class Kills : public FaultTest {
 protected:
  /// Kills the instance and waits for the next one, so often: one after another is killed as soon
  /// as it is seen, or when it has answered.
  void kill_instances(const Ledger& ledger) {
    const auto stub = control();
    std::int64_t last = 0;
    for (int kill = 0; kill < kKills; ++kill) {
      std::int64_t pid = 0;
      ASSERT_TRUE(eventually([&] {
        Context context;
        v1::GetPluginRequest request;
        request.set_name("echo");
        v1::GetPluginResponse response;
        if (!stub->GetPlugin(&context, request, &response).ok()) return false;
        for (const v1::Instance& instance : response.plugin().instances()) {
          if (instance.pid() > 0 && instance.pid() != last) pid = instance.pid();
        }
        return pid != 0;
      })) << "no instance after kill "
          << kill;
      if (kill % 2 == 0) {
        ASSERT_TRUE(ledger.wait_answers(1)) << "kill " << kill;
      }
      ::kill(static_cast<pid_t>(pid), SIGKILL);
      last = pid;
    }
  }
};

TEST_F(Kills, AThousandUnderEightCallersLoseNoCallAndRunNoneTwice) {
  manifest("echo", {kTestPlugin},
           "services = ['echo.v1.Echo']\n"
           "restart = { limit = 0, backoff = '1ms', backoff_max = '1ms' }\n");
  start();
  ASSERT_EQ(answer("echo", "hello"), "hello");
  take_stock();

  Ledger ledger(
      directory_.path() / "executed", kCallers, [this] { return front(); }, "echo");
  kill_instances(ledger);
  ledger.end();
  ASSERT_TRUE(eventually([&] { return answer("echo", "hello") == "hello"; }));

  const Outcomes outcomes = ledger.outcomes();
  // One that was killed before it was ready is a failed start to the calls that waited for it.
  EXPECT_THAT(outcomes,
              Each(Key(AnyOf("OK", "status 14 PLUGIN_CRASHED", "status 14 START_EXITED"))));
  EXPECT_EQ(ledger.differences(), "");
  // Each that was allowed to answer did, and kills hit calls.
  const auto count = [&](const char* outcome) {
    return outcomes.contains(outcome) ? outcomes.at(outcome) : 0;
  };
  EXPECT_GE(count("OK"), kKills / 2);
  EXPECT_GE(count("status 14 PLUGIN_CRASHED"), kKills / 2);
  EXPECT_GE(get_plugin("echo").failures(), static_cast<std::uint64_t>(kKills));
}

}  // namespace
}  // namespace plugind::e2e
