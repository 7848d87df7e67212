// Calls that a plugin did not process: which of them are sent to it again.
#include <gtest/gtest.h>
#include <signal.h>

#include "tests/unit/forward/raw_end.h"

namespace plugind::forward::testing {
namespace {

namespace raw = plugind::testing;

// So much of a request is kept, and so often it is sent.
constexpr std::size_t kKept = 64 << 10;
constexpr std::size_t kAttempts = 3;

/// So many bytes, no two pieces of them alike.
std::string request_of(std::size_t size) {
  std::string bytes(size - 5, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(i * 2654435761u >> 13);
  return framed(bytes);
}

// -- streams that were refused ----------------------------------------------------------------

class RefusedTest : public ForwardTest {
 protected:
  struct Attempt {
    Peer* plugin;
    Stream* stream;
  };
  RefusedTest() {
    serve_ = [this](Peer& plugin, Stream& stream) { attempts_.push_back({&plugin, &stream}); };
  }
  void wait_attempt(std::size_t number, const std::string& request) {
    run_until(
        [&] {
          return attempts_.size() == number &&
                 attempts_.back().stream->data.size() == request.size();
        },
        "the request");
    if (HasFatalFailure()) return;
    EXPECT_TRUE(attempts_.back().stream->data == request);
  }
  void refuse() { attempts_.back().plugin->reset(*attempts_.back().stream, wire::kRefusedStream); }

  std::vector<Attempt> attempts_;
};

TEST_F(RefusedTest, IsSentAgainWhileAllOfItIsKept) {
  apply({manifest("echo")});
  const auto host = connect();
  for (const std::size_t size : {kKept - 1, kKept, kKept + 1}) {
    SCOPED_TRACE(size);
    attempts_.clear();
    const std::string request = request_of(size);
    Stream& call = host->request("/test.echo/Do");
    // It bounds the sum of what has come.
    host->send(call, request.substr(0, 40'000));
    wait_attempt(1, request.substr(0, 40'000));
    host->send(call, request.substr(40'000));
    wait_attempt(1, request);
    ASSERT_FALSE(HasFatalFailure());
    refuse();
    if (size > kKept) {
      wait_closed(call);
      // Which clients make UNAVAILABLE of, and may try again themselves.
      EXPECT_EQ(call.error, wire::kRefusedStream);
      EXPECT_TRUE(call.headers.empty());
      run_idle();
      EXPECT_EQ(attempts_.size(), 1u);
      continue;
    }
    wait_attempt(2, request);
    ASSERT_FALSE(HasFatalFailure());
    // What comes from now on reaches the new attempt.
    host->send(call, framed("more"));
    wait_attempt(2, request + framed("more"));
    ASSERT_FALSE(HasFatalFailure());
    attempts_.back().plugin->respond(*attempts_.back().stream, {{"grpc-status", "0"}}, false);
    wait_closed(call);
    EXPECT_EQ(call.headers["grpc-status"], "0");
  }
}

TEST_F(RefusedTest, IsRefusedAfterTheLastAttempt) {
  apply({manifest("echo")});
  const auto host = connect();
  const std::string request = request_of(1'000);
  for (const bool last_is_refused : {false, true}) {
    attempts_.clear();
    Stream& call = host->request("/test.echo/Do");
    host->send(call, request);
    for (std::size_t i = 1; i <= kAttempts; ++i) {
      wait_attempt(i, request);
      ASSERT_FALSE(HasFatalFailure()) << "attempt " << i;
      EXPECT_FALSE(call.closed);
      if (i < kAttempts || last_is_refused) refuse();
    }
    if (!last_is_refused) {
      attempts_.back().plugin->respond(*attempts_.back().stream, {{"grpc-status", "0"}}, false);
    }
    wait_closed(call);
    EXPECT_EQ(call.headers["grpc-status"], last_is_refused ? "" : "0");
    EXPECT_EQ(call.error, last_is_refused ? wire::kRefusedStream : wire::kNoError);
    run_idle();
    EXPECT_EQ(attempts_.size(), kAttempts);
  }
}

// -- streams above the last one that a GOAWAY names -------------------------------------------

class AboveAGoawayTest : public RawPluginTest {
 protected:
  /// A call with a request of so many bytes, all of which the plugin has when it says goodbye
  /// without having processed any.
  Stream& leave(std::size_t size) {
    serve_ = [this](Peer& plugin, Stream& stream) {
      plugin.on_ended = [&](Stream& ended) {
        plugin.respond(ended, {{"grpc-status", "0"}}, false);
        served_ = ended.data;
      };
      if (stream.ended) plugin.on_ended(stream);
    };
    apply({manifest("echo")});
    request_ = request_of(size);
    host_ = connect();
    Stream& call = host_->request("/test.echo/Do");
    host_->send(call, request_);
    const auto [plugin, stream] = next_call();
    if (plugin == nullptr) return call;
    run_until([&] { return plugin->data_size() == size; }, "the request");
    plugins_are_deaf_ = false;
    plugin->write(raw::frame(raw::FrameType::kGoaway, 0, 0, raw_numbers({0, wire::kNoError})));
    host_->finish(call);
    wait_closed(call);
    return call;
  }

  std::string request_;
  std::string served_;
  std::shared_ptr<Peer> host_;
};

TEST_F(AboveAGoawayTest, AreSentToTheNextConnectionIfAllIsKept) {
  Stream& call = leave(kKept);
  EXPECT_EQ(call.headers["grpc-status"], "0");
  EXPECT_TRUE(served_ == request_);
  EXPECT_EQ(starts_, 1);
}

TEST_F(AboveAGoawayTest, AreRefusedIfTheirRequestIsTooLarge) {
  Stream& call = leave(kKept + 1);
  EXPECT_EQ(call.error, wire::kRefusedStream);
  EXPECT_TRUE(call.headers.empty());
  run_idle();
  for (const auto& plugin : plugins_) EXPECT_TRUE(plugin->streams.empty());
}

// -- calls of which no byte was sent ----------------------------------------------------------

class UnsentTest : public ForwardTest {
 protected:
  static wire::Limits limits() {
    wire::Limits limits;
    limits.stream_window = 16 << 20;
    return limits;
  }
  UnsentTest() : ForwardTest(limits()) {
    serve_ = [this](Peer& plugin, Stream&) {
      // Not before it has all: what is still on its way to an answered call is dropped.
      plugin.on_ended = [this, &plugin](Stream& stream) {
        served_ = stream.data;
        plugin.respond(stream);
        plugin.trailers(stream);
      };
    };
  }
  /// A call behind another one that fills the plugin's socket, and the death of the plugin.
  Stream& lose(const std::string& request) {
    plugins_are_deaf_ = true;
    apply({manifest("echo")});
    host_ = connect();
    const std::string large = framed(std::string(8 << 20, 'x'));
    Stream& first = host_->request("/test.echo/Do");
    host_->send(first, large);
    run_until([&] { return first.sent == large.size(); }, "the first call to leave");
    const auto written = [&] {
      std::size_t sum = 0;
      for (const auto& socket : deaf_plugins_) sum += socket.available();
      return sum;
    };
    // From now on a call need not wait for an instance: it is sent at once.  Every connection has
    // a preface written to it, so only what is larger than that is the call.
    run_until([&] { return written() > kKept; }, "the first call to reach the plugin");
    Stream& second = host_->request("/test.echo/Do");
    host_->send(second, request);
    run_until([&] { return second.sent == request.size(); }, "the second call to leave");
    host_->finish(second);
    // The daemon has read what came before a call when it answers that.
    Stream& unknown = host_->request("/no.Service/Do", {}, false);
    wait_closed(unknown);
    EXPECT_LT(written(), large.size()) << "the socket was not full";
    plugins_are_deaf_ = false;
    deaf_plugins_.clear();
    processes_.last().die(SIGKILL);
    wait_closed(second);
    return second;
  }

  std::string served_;
  std::shared_ptr<Peer> host_;
};

TEST_F(UnsentTest, AreSentToTheNextInstanceIfAllIsKept) {
  const std::string request = request_of(kKept);
  Stream& call = lose(request);
  ASSERT_EQ(call.trailers["grpc-status"], "0") << call.trailers["grpc-message"];
  EXPECT_TRUE(served_ == request);
}

TEST_F(UnsentTest, AreToldWhatHappenedIfTheirRequestIsTooLarge) {
  Stream& call = lose(request_of(kKept + 1));
  EXPECT_EQ(call.trailers["grpc-status"], "14");
  EXPECT_EQ(reason_of(call.trailers), "PLUGIN_CRASHED");
  EXPECT_NE(call.trailers["grpc-message"].find("signal 9 (SIGKILL)"), std::string::npos)
      << call.trailers["grpc-message"];
  for (const auto& plugin : plugins_) EXPECT_TRUE(plugin->streams.empty());
}

}  // namespace
}  // namespace plugind::forward::testing
