// Instances that are killed again and again while they are called: an account of every call.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/fault_test.h"

namespace plugind::e2e {
namespace {

constexpr int kCallers = 8;
constexpr int kKills = 1'000;

class Kills : public FaultTest {
 protected:
  struct Account {
    std::set<std::string> answered;
    std::set<std::string> failed;
    std::map<std::string, int> reasons;
    std::string complaint;
  };

  std::string record() const { return directory_.path() / "executed"; }

  /// Calls with a number of its own each, which the plugin writes down, until `done`.
  void call_until(const std::atomic<bool>& done, const std::string& caller, Account& account) {
    const auto channel = front();
    for (int i = 0; !done && account.complaint.empty(); ++i) {
      const std::string number = caller + "-" + std::to_string(i);
      std::string reply;
      const grpc::Status status = call(channel, "!record " + record() + " " + number, &reply);
      if (status.ok()) {
        account.answered.insert(number);
        if (reply != number) account.complaint = number + " was answered with " + reply;
        continue;
      }
      account.failed.insert(number);
      const Told failure = told(status);
      ++account.reasons[failure.reason];
      // One that was killed before it was ready is a failed start to the calls that waited for it.
      if (failure.code != grpc::StatusCode::UNAVAILABLE ||
          (failure.reason != "PLUGIN_CRASHED" && failure.reason != "START_EXITED")) {
        account.complaint = number + ": " + failure.reason + ": " + failure.message;
      }
    }
  }

  /// Kills the instance and waits for the next one, so often.
  void kill_instances() {
    std::int64_t last = 0;
    for (int kill = 0; kill < kKills; ++kill) {
      std::int64_t pid = 0;
      ASSERT_TRUE(eventually([&] {
        const v1::Plugin plugin = get_plugin("echo");
        for (const v1::Instance& instance : plugin.instances()) {
          if (instance.pid() > 0 && instance.pid() != last) pid = instance.pid();
        }
        return pid != 0;
      })) << "no instance after kill "
          << kill;
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

  std::atomic<bool> done{false};
  std::vector<Account> accounts(kCallers);
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back([&, i] { call_until(done, std::to_string(i), accounts[i]); });
    }
    kill_instances();
    done = true;
  }
  ASSERT_TRUE(eventually([&] { return answer("echo", "hello") == "hello"; }));

  std::map<std::string, int> executed;
  std::ifstream file(record());
  for (std::string number; file >> number;) ++executed[number];
  std::size_t answered = 0;
  for (const Account& account : accounts) {
    EXPECT_EQ(account.complaint, "");
    answered += account.answered.size();
    for (const std::string& number : account.answered) EXPECT_EQ(executed[number], 1) << number;
    for (const std::string& number : account.failed) EXPECT_LE(executed[number], 1) << number;
  }
  EXPECT_GT(answered, 0u);
  EXPECT_GE(get_plugin("echo").failures(), static_cast<std::uint64_t>(kKills));
}

}  // namespace
}  // namespace plugind::e2e
