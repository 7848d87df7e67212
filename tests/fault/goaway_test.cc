// A plugin that says GOAWAY under load, with calls in its hands that it does not accept any more:
// an account of every call.
#include <gmock/gmock.h>

#include <atomic>
#include <charconv>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/fault_test.h"

namespace plugind::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::Key;

constexpr int kGoodbyes = 6;
// As the plugin does it: it has eight calls then, and accepts four.  Those of the other callers
// come while it says it, or while it is not known yet.
constexpr int kCallers = 12;
constexpr int kDisowned = 4;

/// What the plugin says of a call that it has answered.
struct Fate {
  int connection = 0;
  int first = 0;
  int seen = 0;
  int disowned = 0;
};

class Goaway : public FaultTest {
 protected:
  static int number(const grpc::ClientContext& context, const char* name) {
    const auto& trailers = context.GetServerTrailingMetadata();
    const auto found = trailers.find(name);
    int value = -1;
    if (found != trailers.end()) {
      std::from_chars(found->second.begin(), found->second.end(), value);
    }
    return value;
  }
  /// One call; nullopt, and an outcome other than OK, if it was not answered rightly.
  std::optional<Fate> accounted_call(Echo::Stub& stub, const std::string& payload,
                                     Outcomes& outcomes) {
    Context context;
    context.AddMetadata("plugind-plugin", "wire");
    EchoMessage request;
    request.set_payload(payload);
    EchoMessage reply;
    const grpc::Status status = stub.Unary(&context, request, &reply);
    const bool wrong = status.ok() && reply.payload() != payload;
    ++outcomes[wrong ? payload + " was answered with " + reply.payload() : outcome_of(status)];
    if (!status.ok() || wrong) return std::nullopt;
    said_ = number(context, "x-goodbyes");
    executed_ = number(context, "x-executed");
    return Fate{number(context, "x-connection"), number(context, "x-first"),
                number(context, "x-seen"), number(context, "x-disowned")};
  }

  std::atomic<int> said_{0};      // GOAWAYs, by the answer that came last.
  std::atomic<int> executed_{0};  // Calls, the same.
};

TEST_F(Goaway, UnderLoadLosesNoCallAndRunsNoneTwice) {
  if (testing::workers() != 1) GTEST_SKIP() << "each worker has a connection, with fewer calls";
  manifest("wire", {kWirePlugin, "--goodbyes=" + std::to_string(kGoodbyes)}, "restart.limit = 0\n");
  manifest("echo", {kTestPlugin});
  start();
  ASSERT_EQ(answer("wire", "warm"), "warm");
  ASSERT_EQ(answer("echo", "warm"), "warm");
  const std::int64_t pid = pid_of("wire");
  take_stock();
  Callers others(
      2, [this] { return front(); }, "echo");

  std::vector<std::vector<Fate>> fates(kCallers);
  std::vector<Outcomes> outcomes(kCallers);
  {
    std::vector<std::jthread> callers;
    for (int i = 0; i < kCallers; ++i) {
      callers.emplace_back([&, i, stub = Echo::NewStub(front())] {
        for (int call = 0; said_ < kGoodbyes; ++call) {
          const std::string payload = std::to_string(i) + "-" + std::to_string(call);
          const auto fate = accounted_call(*stub, payload, outcomes[i]);
          if (!fate) return;
          fates[i].push_back(*fate);
        }
      });
    }
  }

  int calls = 1;  // The one that warmed it.
  int disowned = 0;
  for (int i = 0; i < kCallers; ++i) {
    EXPECT_THAT(outcomes[i], ElementsAre(Key("OK"))) << "caller " << i;
    for (const Fate& fate : fates[i]) {
      ++calls;
      disowned += fate.disowned;
      EXPECT_LE(fate.disowned, 1);
      EXPECT_EQ(fate.seen, 1 + fate.disowned) << "sent again only if it was disowned";
      EXPECT_EQ(fate.connection, fate.first + fate.disowned) << "accepted, or by the next one";
    }
  }
  EXPECT_GE(disowned, kGoodbyes * kDisowned);
  Outcomes last;
  ASSERT_TRUE(accounted_call(*Echo::NewStub(front()), "the last one", last));
  EXPECT_EQ(executed_, calls + 1);
  EXPECT_EQ(pid_of("wire"), pid) << "it is no failure";
  EXPECT_EQ(get_plugin("wire").failures(), 0u);
  EXPECT_THAT(others.end(), ElementsAre(Key("OK"))) << "of another plugin";
}

}  // namespace
}  // namespace plugind::e2e
