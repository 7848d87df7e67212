// The known traps of forwarding HTTP/2 (each has cost somebody days): flow control, resets, GOAWAY,
// deaths.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

using TrapsTest = ForwardTest;

/// Windows so small that a byte which is not given back is missed soon.
wire::Limits small_windows() {
  wire::Limits limits;
  limits.stream_window = 65'535;
  limits.connection_window = 128 << 10;
  limits.connection_unconsumed = 0;
  return limits;
}

class SmallWindowsTest : public ForwardTest {
 protected:
  SmallWindowsTest() : ForwardTest(small_windows()) {}
};

TEST_F(SmallWindowsTest, BytesOfCallsThatEndedEarlyAreGivenBack) {
  serve_ = [](Peer& plugin, Stream& stream) {  // Answers at once, reads nothing.
    plugin.respond(stream, {{"grpc-status", "8"}}, false);
  };
  apply({manifest("echo")});
  const auto host = connect();
  const std::string kibibyte(1'019, 'x');
  for (int i = 0; i < 1'000; ++i) {
    Stream& call = host->request("/test.echo/Do");
    host->send(call, framed(kibibyte));
    wait_closed(call);
    ASSERT_EQ(call.headers["grpc-status"], "8") << "call " << i;
    ASSERT_FALSE(HasFatalFailure());
    host->streams.erase(call.id);
  }
}

TEST_F(SmallWindowsTest, BytesOfCancelledCallsAreGivenBack) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, std::string(4'096, 'y'));
  };
  apply({manifest("echo")});
  const auto host = connect("", limits_);
  for (int i = 0; i < 300; ++i) {
    Stream& call = host->request("/test.echo/Do");
    host->send(call, std::string(4'096, 'x'));
    run_until([&] { return !call.data.empty(); }, "the first bytes");
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    host->reset(call, wire::kCancel);
    wait_closed(call);
  }
}

TEST_F(SmallWindowsTest, ManySmallCallsThroughSmallWindows) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, framed(std::string(500, 'r')));
    plugin.trailers(stream);
  };
  apply({manifest("echo")});
  const auto host = connect("", limits_);
  for (int i = 0; i < 3'000; ++i) {
    Stream& call = host->request("/test.echo/Do");
    host->send(call, framed(std::string(500, 'q')));
    host->finish(call);
    wait_closed(call);
    ASSERT_EQ(call.data.size(), 505u) << "call " << i;
    host->streams.erase(call.id);
    if (i % 64 == 0) plugin().streams.clear();
  }
}

TEST_F(TrapsTest, LargeMessagesPassBothWays) {
  serve_ = [](Peer& plugin, Stream& stream) { plugin.respond(stream); };
  apply({manifest("echo")});
  const auto host = connect();
  std::string large(24 << 20, '\0');
  for (std::size_t i = 0; i < large.size(); ++i)
    large[i] = static_cast<char>(i * 2654435761u >> 13);
  Stream& call = host->request("/test.echo/Do");
  host->send(call, framed(large));
  host->finish(call);
  run_until(
      [&] {
        return !plugins_.empty() && !plugin().streams.empty() &&
               plugin().streams.begin()->second->ended;
      },
      "the request");
  Stream& seen = *plugin().streams.begin()->second;
  ASSERT_TRUE(seen.data == framed(large));
  plugin().send(seen, seen.data);
  plugin().trailers(seen);
  wait_closed(call);
  EXPECT_TRUE(call.data == framed(large));
}

TEST_F(SmallWindowsTest, AnEarlyRefusalKeepsItsStatusAlthoughTheHostStillSends) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream, {{"grpc-status", "8"}, {"grpc-message", "too large"}}, false);
  };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do");
  host->send(call, framed(std::string(5 << 20, 'x')));
  wait_closed(call);
  EXPECT_EQ(call.headers["grpc-status"], "8");
  EXPECT_EQ(call.headers["grpc-message"], "too large");
}

TEST_F(TrapsTest, AResetBeforeTheAnswerIsPassedOnWithItsCode) {
  serve_ = [](Peer& plugin, Stream& stream) { plugin.reset(stream, wire::kEnhanceYourCalm); };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do");
  wait_closed(call);
  EXPECT_EQ(call.error, wire::kEnhanceYourCalm);
}

TEST_F(TrapsTest, AResetAfterTheTrailersDoesNotOvertakeThem) {
  // This is what grpc-go does to a client that has not half-closed.
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, framed("x"));
    plugin.trailers(stream, {{"grpc-status", "8"}});
  };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do");
  host->send(call, framed("never finished"));
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "8");
  EXPECT_EQ(call.data, framed("x"));
  EXPECT_EQ(call.error, wire::kNoError);
}

TEST_F(TrapsTest, ACancelledCallIsCancelledAtThePlugin) {
  serve_ = [](Peer&, Stream&) {};
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do");
  run_until([&] { return !plugins_.empty() && !plugin().streams.empty(); }, "the call");
  Stream& seen = *plugin().streams.begin()->second;
  host->reset(call, wire::kCancel);
  wait_closed(seen);
  EXPECT_EQ(seen.error, wire::kCancel);
}

TEST_F(TrapsTest, AHostThatDisconnectsCancelsItsCalls) {
  serve_ = [](Peer&, Stream&) {};
  apply({manifest("echo")});
  auto host = connect();
  host->request("/test.echo/Do");
  run_until([&] { return !plugins_.empty() && !plugin().streams.empty(); }, "the call");
  Stream& seen = *plugin().streams.begin()->second;
  host.reset();
  wait_closed(seen);
  EXPECT_EQ(seen.error, wire::kCancel);
}

TEST_F(TrapsTest, TheDeadlineEndsTheCallOnBothSides) {
  serve_ = [](Peer&, Stream&) {};
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do", {{"grpc-timeout", "50m"}});
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "4");
  Stream& seen = *plugin().streams.begin()->second;
  wait_closed(seen);
  EXPECT_EQ(seen.error, wire::kCancel);
  EXPECT_TRUE(seen.headers.contains("grpc-timeout"));
}

TEST_F(TrapsTest, ThePluginsOwnTimeoutHoldsWhereTheHostGivesNone) {
  serve_ = [](Peer&, Stream&) {};
  auto m = manifest("echo");
  m.calls_timeout = std::chrono::milliseconds(50);
  apply({m});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do");
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "4");
  EXPECT_NE(call.trailers["grpc-message"].find("from plugin 'echo'"), std::string::npos);
}

TEST_F(TrapsTest, ADeathDuringTheCallIsExplained) {
  serve_ = [this](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, framed("half"));
    boost::asio::post(loop_, [this] {
      supervisor_->log("echo").value()->append("echo#1", plugin::OutputStream::kStderr,
                                               "last words\n", {});
      this->plugin().close();
      processes_.last().die(SIGSEGV);
    });
  };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do");
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "14");
  EXPECT_NE(call.trailers["grpc-message"].find("signal 11 (SIGSEGV)"), std::string::npos);
  EXPECT_NE(call.trailers["grpc-message"].find("last words"), std::string::npos);

  run_until([&] { return !supervisor_->crashes("echo")->empty(); }, "the crash report");
  const plugin::CrashReport report = supervisor_->crashes("echo")->front();
  EXPECT_EQ(report.calls_lost, 1u);
  ASSERT_EQ(report.calls.size(), 1u);
  EXPECT_EQ(report.calls.front().method, "/test.echo/Do");
  EXPECT_EQ(report.calls.front().host_pid, ::getpid());
}

class WideWindowsTest : public ForwardTest {
 protected:
  static wire::Limits limits() {
    wire::Limits limits;
    limits.stream_window = 16 << 20;
    return limits;
  }
  WideWindowsTest() : ForwardTest(limits()) {}
};

// The plugin's socket is full of another call, so nothing of this one can have left.
TEST_F(WideWindowsTest, ADeathBeforeAnyByteOfACallWasSentMovesItToTheNextInstance) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.trailers(stream);
  };
  plugins_are_deaf_ = true;
  apply({manifest("echo")});
  const auto host = connect();
  // More than a socket and one turn of the daemon take; all of it leaves before the second call, so
  // the daemon has filled the socket when that comes.
  const std::string large = framed(std::string(8 << 20, 'x'));
  Stream& first = host->request("/test.echo/Do");
  host->send(first, large);
  run_until([&] { return first.sent == large.size(); }, "the first call to leave");
  Stream& second = host->request("/test.echo/Do");
  host->send(second, framed("the body"));
  host->finish(second);
  run_until([&] { return supervisor_->status("echo")->instances.at(0).calls_in_flight == 2; },
            "the second call to be at the instance");
  ASSERT_FALSE(HasFatalFailure());
  std::size_t written = 0;
  for (const auto& socket : deaf_plugins_) written += socket.available();
  ASSERT_LT(written, large.size()) << "the socket was not full";
  plugins_are_deaf_ = false;
  deaf_plugins_.clear();
  processes_.last().die(SIGKILL);

  wait_closed(first);
  EXPECT_EQ(first.trailers["grpc-status"], "14");
  EXPECT_EQ(reason_of(first.trailers), "PLUGIN_CRASHED");
  wait_closed(second);
  ASSERT_EQ(second.trailers["grpc-status"], "0") << second.trailers["grpc-message"];
  EXPECT_EQ(starts_, 2);
  ASSERT_EQ(plugin().streams.size(), 1u);
  run_until([&] { return plugin().streams.begin()->second->ended; }, "the body");
  EXPECT_EQ(plugin().streams.begin()->second->data, framed("the body"));
  EXPECT_EQ(supervisor_->crashes("echo")->front().calls_lost, 1u);
}

TEST_F(TrapsTest, ARefusedCallIsSentToTheConnectionAgainWithItsBody) {
  int refusals = 0;
  serve_ = [&](Peer& plugin, Stream& stream) {
    if (refusals++ == 0) return plugin.reset(stream, wire::kRefusedStream);
    plugin.respond(stream);
    plugin.trailers(stream);
  };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do");
  host->send(call, framed("the body"));
  host->finish(call);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
  ASSERT_EQ(plugin().streams.size(), 2u);
  run_until([&] { return plugin().streams.rbegin()->second->ended; }, "the body");
  EXPECT_EQ(plugin().streams.rbegin()->second->data, framed("the body"));
}

TEST_F(TrapsTest, ACallThatWasAnsweredInPartIsNeverSentAgain) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, framed("some"));
  };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do", {}, false);
  run_until([&] { return !call.data.empty(); }, "the first part");
  plugin().reset(*plugin().streams.begin()->second, wire::kRefusedStream);
  wait_closed(call);
  EXPECT_EQ(plugin().streams.size(), 1u);
  EXPECT_EQ(call.error, wire::kRefusedStream);
}

TEST_F(TrapsTest, GoawayMovesNewCallsToANewConnectionAndFinishesOldOnes) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    if (stream.headers[":path"] == "/test.echo/Long") return;
    plugin.trailers(stream);
  };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& old = host->request("/test.echo/Long", {}, false);
  run_until([&] { return !old.headers.empty(); }, "the old call");
  const auto first = plugins_.back();
  const std::size_t before = plugins_.size();
  // The connection has served for a while.  Nobody pauses before the next one.
  clock_.moved = std::chrono::minutes(1);
  clock_.sleeps_end = false;
  first->goaway();
  // The loop that owns the instance connects again at once, another one with its next call.
  if (workers_ == 1) {
    run_until([&] { return plugins_.size() > before; }, "a new connection");
  }
  Stream& call = host->request("/test.echo/Do", {}, false);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
  EXPECT_FALSE(old.closed);
  first->trailers(*first->streams.begin()->second);
  wait_closed(old);
  EXPECT_EQ(old.trailers["grpc-status"], "0");
  EXPECT_EQ(plugins_.size(), before + 1);
  EXPECT_EQ(starts_, 1) << "the process was not touched";
  run_until([&] { return first->lost; }, "the old connection to be closed");
}

TEST_F(TrapsTest, ManyCancellationsDoNotMakeTheConnectionSuspicious) {
  serve_ = [](Peer&, Stream&) {};
  apply({manifest("echo")});
  const auto host = connect();
  for (int i = 0; i < 3'000; ++i) {
    Stream& call = host->request("/test.echo/Do", {}, false);
    host->reset(call, wire::kCancel);
    wait_closed(call);
    host->streams.erase(call.id);
  }
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.trailers(stream);
  };
  Stream& call = host->request("/test.echo/Do", {}, false);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
  EXPECT_FALSE(host->lost);
}

TEST_F(TrapsTest, CallsBeyondThePluginsStreamLimitWaitTheirTurn) {
  plugin_limits_.max_concurrent_streams = 2;
  std::vector<std::pair<Peer*, Stream*>> open;
  serve_ = [&](Peer& plugin, Stream& stream) { open.emplace_back(&plugin, &stream); };
  apply({manifest("echo")});
  const auto host = connect();
  std::vector<Stream*> calls;
  for (int i = 0; i < 6; ++i) calls.push_back(&host->request("/test.echo/Do", {}, false));
  run_until([&] { return open.size() == 2; }, "two calls");
  run_idle();
  EXPECT_EQ(open.size(), 2u);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    run_until([&] { return open.size() > i; }, "the next call");
    open[i].first->respond(*open[i].second);
    open[i].first->trailers(*open[i].second);
  }
  for (Stream* call : calls) wait_closed(*call);
}

TEST_F(TrapsTest, AFailedStartAnswersEveryCallThatWaited) {
  apply({manifest("echo")});
  const auto host = connect();
  Stream& one = host->request("/test.echo/Do");
  Stream& two = host->request("/test.echo/Do");
  host->send(two, framed("body that nobody will read"));
  run_until(
      [&] {
        // On a busy machine the second call may come after the first start, and be for the next
        // one.
        if (!next_start_error_) {
          next_start_error_ = make_error(Reason::kHandshakeInvalid, "it printed garbage");
        }
        return one.closed && two.closed;
      },
      "both calls to be answered");
  for (const Stream* call : {&one, &two}) {
    EXPECT_EQ(call->trailers.at("grpc-status"), "14");
    EXPECT_EQ(call->trailers.at("grpc-message"), "plugin 'echo' cannot start: it printed garbage");
  }
}

}  // namespace
}  // namespace plugind::forward::testing
