// Several instances of one plugin: which of them gets a call, and which calls wait.
#include <gmock/gmock.h>
#include <signal.h>

#include <future>
#include <set>
#include <vector>

#include "tests/e2e/daemon_test.h"
#include "tests/e2e/open_call.h"

namespace plugind::e2e {
namespace {

using ::testing::HasSubstr;

class Pools : public DaemonTest {
 protected:
  /// The plugin "echo" with all of its instances ready.
  void start_pool(int instances, const std::string& more) {
    manifest("echo", {kTestPlugin},
             "services = ['echo.v1.Echo']\ninstances = " + std::to_string(instances) + "\n" + more);
    start();
    Context context;
    v1::StartPluginRequest request;
    request.set_name("echo");
    v1::StartPluginResponse response;
    ASSERT_TRUE(control()->StartPlugin(&context, request, &response).ok());
    ASSERT_EQ(response.plugin().instances_size(), instances);
  }
  std::set<std::int64_t> ready() const {
    std::set<std::int64_t> pids;
    const v1::Plugin plugin = get_plugin("echo");
    for (const v1::Instance& one : plugin.instances()) {
      if (one.state() == v1::INSTANCE_STATE_READY) pids.insert(one.pid());
    }
    return pids;
  }
};

TEST_F(Pools, SpreadCallsAndKeepTheBoundOfEach) {
  start_pool(3, "calls.per_instance = 1\n");
  constexpr int kHosts = 8, kCalls = 40;
  std::vector<std::future<std::set<std::string>>> hosts;
  for (int i = 0; i < kHosts; ++i) {
    hosts.push_back(std::async(std::launch::async, [this] {
      // A connection of its own, which with workers is another loop's.
      const auto stub = Echo::NewStub(front());
      std::set<std::string> told_of;
      for (int call = 0; call < kCalls; ++call) {
        Context context;
        EchoMessage request, reply;
        request.set_payload("!work");
        const grpc::Status status = stub->Unary(&context, request, &reply);
        told_of.insert(status.ok() ? reply.payload() : status.error_message());
      }
      return told_of;
    }));
  }
  for (auto& host : hosts) {
    EXPECT_THAT(host.get(), ::testing::ElementsAre("1")) << "calls at an instance at a time";
  }
  std::uint64_t calls = 0;
  const v1::Plugin plugin = get_plugin("echo");
  for (const v1::Instance& one : plugin.instances()) {
    calls += one.calls();
    EXPECT_GE(one.calls(), kHosts * kCalls / 3 / 2) << "each has its part";
  }
  EXPECT_EQ(calls, std::uint64_t{kHosts * kCalls});
}

TEST_F(Pools, ACallWaitsForAPlaceUpToABound) {
  start_pool(2, "calls.per_instance = 1\ncalls.queue_timeout = '100ms'\n");
  OpenCall one(front()), two(front());
  ASSERT_EQ(one.echo("a"), "a");
  ASSERT_EQ(two.echo("b"), "b");
  const Told late = failure("echo");
  EXPECT_EQ(late.reason, "QUEUE_TIMEOUT");
  EXPECT_THAT(late.message, HasSubstr("2 are ready, and have each 1 call already"));
  EXPECT_TRUE(two.end().ok());
  EXPECT_EQ(answer("echo", "hello"), "hello");
  EXPECT_EQ(one.echo("c"), "c");
}

TEST_F(Pools, WhoWaitsIsServedWhenACallEnds) {
  start_pool(1, "calls.per_instance = 1\n");
  OpenCall open(front());
  ASSERT_EQ(open.echo("a"), "a");
  auto waiting = std::async(std::launch::async, [&] { return answer("echo", "hello"); });
  // It has come, and is at no instance.
  ASSERT_TRUE(eventually([&] { return get_plugin("echo").calls() == 2; }));
  EXPECT_EQ(get_plugin("echo").instances(0).calls(), 1u);
  EXPECT_TRUE(open.end().ok());
  EXPECT_EQ(waiting.get(), "hello");
}

TEST_F(Pools, OneThatIsKilledIsReplacedAndTheOthersServe) {
  start_pool(2, "");
  const std::set<std::int64_t> before = ready();
  ASSERT_EQ(before.size(), 2u);
  ::kill(static_cast<pid_t>(*before.begin()), SIGKILL);
  ASSERT_TRUE(eventually([&] {
    const auto now = ready();
    return now.size() == 2 && !now.contains(*before.begin());
  }));
  EXPECT_TRUE(ready().contains(*before.rbegin())) << "it went on";
  for (int i = 0; i < 4; ++i) EXPECT_EQ(answer("echo", "hello"), "hello");
}

}  // namespace
}  // namespace plugind::e2e
