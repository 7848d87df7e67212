// What gRPC's threads and the loop share, without gRPC: the thread sanitizer sees every access.
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "daemon/control/call_gate.h"
#include "daemon/plugin/loop_port.h"

namespace plugind::control {
namespace {

constexpr int kThreads = 4;
constexpr int kRounds = 2'000;

template <class Work>
void in_threads(Work work) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work);
}

class CountedCall final : public OpenCall {
 public:
  explicit CountedCall(std::atomic<int>& ended) : ended_(ended) {}
  void end(const grpc::Status&) override { ++ended_; }

 private:
  std::atomic<int>& ended_;
};

TEST(CallGate, EndsEveryCallOfEveryThreadOnceOrRefusesIt) {
  CallGate gate;
  std::atomic<int> ended = 0, passed = 0, refused = 0;
  std::vector<std::shared_ptr<CountedCall>> stay;
  for (int i = 0; i < kRounds; ++i) {
    stay.push_back(std::make_shared<CountedCall>(ended));
    ASSERT_TRUE(gate.enter(stay.back()));
  }
  {
    const std::jthread closer([&] {
      while (passed == 0) std::this_thread::yield();
      gate.close(grpc::Status::CANCELLED);
    });
    in_threads([&] {
      std::atomic<int> unused = 0;
      for (int i = 0; i < kRounds; ++i) {
        const auto call = std::make_shared<CountedCall>(unused);
        ++(gate.enter(call) ? passed : refused);
        gate.leave(call.get());
      }
    });
  }
  EXPECT_EQ(ended, kRounds);
  EXPECT_EQ(passed + refused, kThreads * kRounds);
  EXPECT_FALSE(gate.enter(std::make_shared<CountedCall>(ended)));
}

TEST(Loop, RunsWhatThreadsPostUntilItIsClosed) {
  std::optional<boost::asio::io_context> context(std::in_place);
  plugin::LoopPort loop(context->get_executor());
  int ran = 0;  // Not atomic: only the loop's thread may touch it.
  std::atomic<int> posted = 0;
  {
    const std::jthread closer([&] {
      while (posted < kRounds) context->poll();
      loop.close();
      context->restart();
      context->run();
    });
    in_threads([&] {
      for (int i = 0; i < kRounds; ++i) {
        loop.post([&ran] { ++ran; });
        ++posted;
      }
    });
  }
  EXPECT_GE(ran, kRounds);
  EXPECT_LE(ran, kThreads * kRounds);
  context.reset();
  loop.post([&ran] { ran = -1; });
  EXPECT_GE(ran, kRounds);
}

}  // namespace
}  // namespace plugind::control
