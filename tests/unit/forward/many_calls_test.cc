// A million calls, ended in every way, through the smallest windows: of what is lost with each call
// of some kind, one byte is enough to stop everything.
#include <gtest/gtest.h>

#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

#ifdef FORWARD_IS_SANITIZED
constexpr std::uint64_t kCalls = 30'000;
#else
constexpr std::uint64_t kCalls = 1'000'000;
#endif
constexpr std::size_t kInFlight = 32;

// How a call ends; by turns.
enum Kind : std::uint64_t {
  kAnswered,
  kRefusedEarly,  // By the plugin, which reads nothing, while the host still sends.
  kAnsweredToo,
  kCancelled,  // By the host, after some of the reply.
  kAnsweredAsWell,
  kReset,  // By the plugin, after some of the reply.
  kKinds,
};

class ManyCallsTest : public ForwardTest {
 protected:
  static wire::Limits limits() {
    wire::Limits limits;
    limits.stream_window = 65'535;
    limits.connection_window = 128 << 10;
    limits.connection_unconsumed = 0;
    return limits;
  }
  ManyCallsTest() : ForwardTest(limits()) {
    serve_ = [this](Peer& plugin, Stream& stream) { serve(plugin, stream); };
  }

  void TearDown() override {
    // The fixture closes them later than this class has its members.
    for (const auto& plugin : plugins_) plugin->on_closed = nullptr;
  }

  void serve(Peer& plugin, Stream& stream) {
    if (!plugin.on_closed) {
      plugin.on_closed = [this](Stream& closed) { seen_off_.push_back(closed.id); };
    }
    switch (std::stoull(stream.headers["number"]) % kKinds) {
      case kRefusedEarly:
        return plugin.respond(stream, {{"grpc-status", "8"}}, false);
      case kCancelled:
        plugin.respond(stream);
        return plugin.send(stream, piece_ + piece_ + piece_);
      case kReset:
        plugin.respond(stream);
        plugin.send(stream, piece_);
        return to_reset_.push_back(stream.id);
      default:
        plugin.respond(stream);
        plugin.send(stream, small_);
        plugin.trailers(stream);
    }
  }

  void begin() {
    const std::uint64_t number = begun_++;
    Stream& call = host_->request("/test.echo/Do", {{"number", std::to_string(number)}});
    numbers_[call.id] = number;
    const std::uint64_t kind = number % kKinds;
    host_->send(call, kind == kRefusedEarly || kind == kCancelled ? piece_ : small_);
    if (kind != kRefusedEarly && kind != kCancelled) host_->finish(call);
  }

  /// What came of it is what should have.
  bool is_right(Stream& call) {
    switch (numbers_.at(call.id) % kKinds) {
      case kRefusedEarly:
        return call.headers["grpc-status"] == "8";
      case kCancelled:
        return call.error == wire::kCancel && !call.data.empty();
      case kReset:  // Which may overtake what waits in the daemon.
        return call.error == wire::kInternalError;
      default:
        return call.data == small_ && call.trailers["grpc-status"] == "0";
    }
  }

  /// Takes away what has ended, and begins as much anew.
  void go_on() {
    for (const wire::StreamId id : std::exchange(ended_, {})) {
      Stream& call = *host_->streams.at(id);
      if (!is_right(call)) ++wrong_;
      numbers_.erase(id);
      cancelled_.erase(id);
      host_->streams.erase(id);
      ++done_;
      if (begun_ < kCalls) begin();
    }
    for (const wire::StreamId id : std::exchange(seen_off_, {})) plugin().streams.erase(id);
    std::erase_if(to_reset_, [&](wire::StreamId id) {
      Stream& stream = *plugin().streams.at(id);
      if (stream.sent < piece_.size()) return false;
      plugin().reset(stream, wire::kInternalError);
      return true;
    });
  }

  const std::string small_ = framed(std::string(500, 'x'));
  const std::string piece_ = framed(std::string(4'000, 'y'));
  std::shared_ptr<Peer> host_;
  std::map<wire::StreamId, std::uint64_t> numbers_;
  std::vector<wire::StreamId> ended_;     // At the host, since the last go_on().
  std::vector<wire::StreamId> seen_off_;  // The same at the plugin.
  std::vector<wire::StreamId> to_reset_;  // By the plugin, when it has sent its piece.
  std::set<wire::StreamId> cancelled_;    // By the host.
  std::uint64_t begun_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t wrong_ = 0;
};

TEST_F(ManyCallsTest, EndInEveryWayThroughSmallWindows) {
  apply({manifest("echo")});
  host_ = connect("", limits_);
  host_->on_data_hook = [&](Stream& call) {
    if (numbers_.at(call.id) % kKinds != kCancelled) return;
    if (cancelled_.insert(call.id).second) host_->reset(call, wire::kCancel);
  };
  host_->on_closed = [&](Stream& call) { ended_.push_back(call.id); };
  while (begun_ < kInFlight) begin();
  while (done_ < kCalls) {
    const std::uint64_t next = std::min(kCalls, done_ + 1'000);
    run_until(
        [&] {
          go_on();
          return done_ >= next;
        },
        "a thousand calls");
    ASSERT_FALSE(HasFatalFailure()) << "after " << done_ << " calls";
    ASSERT_EQ(wrong_, 0u) << "after " << done_ << " calls";
  }
  EXPECT_EQ(starts_, 1);
  EXPECT_EQ(plugins_.size(), 1u) << "on one connection";
}

}  // namespace
}  // namespace plugind::forward::testing
