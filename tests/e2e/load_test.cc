// Many calls, one after the other and at once: what leaks a little with each of them shows here.
#include <gmock/gmock.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>

#include "client-lib/include/plugind/plugind.h"
#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {
namespace {

constexpr std::uint64_t kInFlight = 64;

struct ClosesClient {
  void operator()(pd_client* client) const { pd_close(client); }
};
struct FreesOptions {
  void operator()(pd_options* options) const { pd_options_free(options); }
};
struct FreesCall {
  void operator()(pd_call* call) const { pd_call_free(call); }
};
using Call = std::unique_ptr<pd_call, FreesCall>;

class Load : public DaemonTest {
 protected:
  const std::uint64_t kCalls = kSanitized ? 30'000 : 1'000'000;
  static constexpr std::uint32_t kConnections = 2;
  const int kCancellations = kSanitized ? 3'000 : 20'000;

  void connect() {
    usual_manifests();
    start();
    pd_options_set_timeout_ms(options_.get(), 30'000);  // What stalls shall end.
    client_.reset(pd_connect(directory_.socket().c_str(), 0, nullptr));
    ASSERT_NE(client_, nullptr);
    ASSERT_EQ(answered("warm"), "warm");
    // This client's and the one that asks: what looked whether the daemon is up has ended.
    ASSERT_TRUE(eventually([&] { return daemon_info().connections() == kConnections; }));
    memory_ = daemon_info().resident_bytes();
  }

  pd_call* begin(const char* method, const std::string& payload, std::uint64_t tag = 0) {
    EchoMessage message;
    message.set_payload(payload);
    const std::string request = message.SerializeAsString();
    return pd_call_begin(client_.get(), "echo", method, request.data(), request.size(),
                         options_.get(), tag, nullptr);
  }

  struct Outcome {
    std::string payload;
    int code = 0;
    std::string reason;
  };
  static Outcome outcome_of(pd_call* call) {
    pd_error* error = nullptr;
    pd_reply* reply = pd_call_wait(call, &error);
    Outcome outcome;
    if (reply != nullptr) {
      EchoMessage message;
      message.ParseFromArray(pd_reply_data(reply), static_cast<int>(pd_reply_size(reply)));
      outcome.payload = message.payload();
    } else {
      outcome.code = pd_error_code(error);
      outcome.reason = pd_error_reason(error);
    }
    pd_reply_free(reply);
    pd_error_free(error);
    return outcome;
  }

  std::string answered(const std::string& payload) {
    const Call call(begin("/echo.v1.Echo/Unary", payload));
    return outcome_of(call.get()).payload;
  }

  /// Windows and connections are as they were: much more than a window goes through, both ways.
  void expect_unharmed() {
    const std::string much(40 << 20, 'x');
    EXPECT_TRUE(answered(much) == much);
    EXPECT_EQ(daemon_info().connections(), kConnections);
    EXPECT_EQ(get_plugin("echo").instances_size(), 1);
  }

  std::unique_ptr<pd_options, FreesOptions> options_{pd_options_new()};
  std::unique_ptr<pd_client, ClosesClient> client_;
  std::uint64_t memory_ = 0;
};

// Windows that lose a few bytes with each call of some kind, as implementations of HTTP/2 have,
// stall after some ten thousands of them.
TEST_F(Load, AMillionCallsOfAllKindsLeaveNothingBehind) {
  connect();
  const std::string small(100, 's');
  const std::string large(3'000, 'l');
  // These are cancelled when the plugin has them, or has answered.
  std::map<std::uint64_t, pd_call*> to_cancel;
  const auto cancel_oldest = [&] {
    if (to_cancel.size() < 4) return;
    pd_call_cancel(to_cancel.begin()->second);
    to_cancel.erase(to_cancel.begin());
  };
  // What the call of this tag is.
  const auto begin_one = [&](std::uint64_t tag) {
    switch (tag % 8) {
      case 5:
        return begin("/echo.v1.Echo/NoSuchMethod", large, tag);
      case 6:
        return to_cancel[tag] = begin("/echo.v1.Echo/Unary", large, tag);
      case 7:
        return begin("/echo.v1.Echo/Unary", large, tag);
      default:
        return begin("/echo.v1.Echo/Unary", small, tag);
    }
  };
  std::uint64_t begun = 0;
  std::uint64_t ended = 0;
  std::uint64_t wrong = 0;
  std::uint64_t cancelled = 0;
  while (begun < kInFlight) {
    ASSERT_NE(begin_one(begun++), nullptr);
  }
  while (const Call call{pd_next(client_.get(), -1)}) {
    ++ended;
    const Outcome outcome = outcome_of(call.get());
    switch (pd_call_tag(call.get()) % 8) {
      case 5:
        wrong += outcome.code != grpc::StatusCode::UNIMPLEMENTED;
        break;
      case 6:
        to_cancel.erase(pd_call_tag(call.get()));
        cancelled += outcome.reason == "CALL_CANCELLED";
        wrong += outcome.reason != "CALL_CANCELLED" && outcome.payload != large;
        break;
      case 7:
        wrong += outcome.payload != large;
        break;
      default:
        wrong += outcome.payload != small;
    }
    cancel_oldest();
    if (begun < kCalls && begin_one(begun++) == nullptr) ++wrong;
    ASSERT_LT(wrong, 100U) << "after " << ended << " calls";
  }
  EXPECT_EQ(ended, kCalls);
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(cancelled, kCalls / 100);
  if (!kSanitized) {
    EXPECT_LT(daemon_info().resident_bytes(), memory_ + (16 << 20));
  }
  expect_unharmed();
}

// gRPC clients cancel as fast as they call.  Limits on resets that are meant for the internet end
// the connection, and with it the calls of others.
TEST_F(Load, CancellationsInTheMiddleOfTheirBodiesDisturbNobody) {
  connect();
  const Call held(begin("/echo.v1.Echo/Unary", "!wait"));
  pd_flush(client_.get());
  ASSERT_TRUE(eventually([&] { return get_plugin("echo").instances(0).calls_in_flight() == 1; }));
  std::mt19937 random(1);
  for (int i = 0; i < kCancellations; ++i) {
    const Call call(begin("/echo.v1.Echo/Unary", std::string(random() % 200'000, 'x')));
    ASSERT_NE(call, nullptr);
    pd_flush(client_.get());
    pd_call_cancel(call.get());
    const Outcome outcome = outcome_of(call.get());
    ASSERT_TRUE(outcome.reason == "CALL_CANCELLED" || outcome.code == 0) << outcome.reason;
  }
  expect_unharmed();
  // It was on the same connection all the time.
  pd_call_cancel(held.get());
  EXPECT_EQ(outcome_of(held.get()).reason, "CALL_CANCELLED");
}

}  // namespace
}  // namespace plugind::e2e
