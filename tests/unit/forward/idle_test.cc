// Connections that nobody uses.
#include <gtest/gtest.h>

#include <boost/asio/write.hpp>

#include "daemon/forward/idle_watch.h"
#include "tests/support/raw_http2.h"
#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

using namespace std::chrono_literals;

// -- the watch, with a time that the test moves -----------------------------------------------

Deadlines::TimePoint the_time;

class IdleWatchTest : public ::testing::Test {
 protected:
  void pass(std::chrono::milliseconds time) {
    the_time += time;
    deadlines_.expire();
  }

  boost::asio::io_context loop_;
  Deadlines deadlines_{loop_.get_executor(), [] { return the_time; }};
  int idle_ = 0;
  IdleWatch watch_{deadlines_, 100ms, [this] { ++idle_; }};
};

TEST_F(IdleWatchTest, TellsAtTheBoundAndNotBefore) {
  watch_.start();
  pass(99ms);
  EXPECT_EQ(idle_, 0);
  pass(1ms);
  EXPECT_EQ(idle_, 1);
  pass(99ms);
  EXPECT_EQ(idle_, 1);
  pass(1ms);
  EXPECT_EQ(idle_, 2) << "again, if nothing was done about it";
}

TEST_F(IdleWatchTest, CountsFromTheEndOfTheLastCall) {
  watch_.start();
  pass(60ms);
  watch_.call_began();
  pass(10ms);
  watch_.call_ended();
  pass(99ms);
  EXPECT_EQ(idle_, 0);
  pass(1ms);
  EXPECT_EQ(idle_, 1);
}

TEST_F(IdleWatchTest, ACallInProgressIsNotIdleHoweverLong) {
  watch_.start();
  watch_.call_began();
  watch_.call_began();
  pass(10min);
  watch_.call_ended();
  pass(10min);
  EXPECT_EQ(idle_, 0);
  watch_.call_ended();
  pass(99ms);
  EXPECT_EQ(idle_, 0);
  pass(1ms);
  EXPECT_EQ(idle_, 1);
}

TEST_F(IdleWatchTest, NeverTellsOnceStoppedOrWithoutABound) {
  IdleWatch unbounded(deadlines_, 0ms, [this] { ++idle_; });
  unbounded.start();
  watch_.start();
  watch_.stop();
  pass(24h);
  EXPECT_EQ(idle_, 0);
}

// -- connections ------------------------------------------------------------------------------

class IdleTest : public ForwardTest {
 protected:
  IdleTest() { policy_.idle_timeout = 40ms; }
  void wait_lost(const Peer& peer) {
    run_until([&] { return peer.lost; }, "the connection to end");
  }
};

TEST_F(IdleTest, AConnectionWithoutACallIsClosedGracefully) {
  apply({manifest("echo")});
  const auto host = connect();
  const auto on_plugin_socket = connect("echo");
  const auto silent = connect_raw();  // Not even a preface.
  wait_lost(*host);
  wait_lost(*on_plugin_socket);
  EXPECT_TRUE(host->saw_goaway);
  EXPECT_TRUE(on_plugin_socket->saw_goaway);
  EXPECT_EQ(host->goaway_error, wire::kNoError);
  run_until([&] { return forwarder_->connections() == 0; }, "the silent one to end");
}

TEST_F(IdleTest, ACallKeepsItsConnection) {
  serve_ = [](Peer& plugin, Stream& stream) { plugin.respond(stream); };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do", {}, false);
  run_until([&] { return !call.headers.empty(); }, "the call");
  // Two others, one after the other: they are closed, so the time has passed more than once.
  for (int i = 0; i < 2; ++i) wait_lost(*connect());
  EXPECT_FALSE(host->saw_goaway);
  EXPECT_FALSE(host->lost);
  plugin().trailers(*plugin().streams.begin()->second);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
  wait_lost(*host);
  EXPECT_TRUE(host->saw_goaway);
}

TEST_F(IdleTest, ACallThatCrossesTheGoodbyeIsServed) {
  policy_.idle_timeout = 300ms;  // So long the host has for the call after the notice.
  serve_ = [](Peer& plugin, Stream& stream) { plugin.respond(stream); };
  apply({manifest("echo")});
  auto socket = connect_raw();
  boost::asio::write(socket, boost::asio::buffer(plugind::testing::http2_preface()));
  socket.non_blocking(true);
  std::string seen;
  // GOAWAY, without an error, that leaves room for every stream.
  const std::string notice("\x00\x00\x08\x07\x00\x00\x00\x00\x00\x7f\xff\xff\xff\x00\x00\x00\x00",
                           17);
  run_until(
      [&] {
        char buffer[4'096];
        boost::system::error_code ec;
        seen.append(buffer, socket.read_some(boost::asio::buffer(buffer), ec));
        return seen.find(notice) != std::string::npos;
      },
      "the notice");
  using plugind::testing::FrameType;
  boost::asio::write(
      socket,
      boost::asio::buffer(plugind::testing::frame(
          FrameType::kHeaders, plugind::testing::kEndHeaders, 1,
          plugind::testing::header_block(plugind::testing::grpc_headers("/test.echo/Do")))));
  run_until([&] { return !plugins_.empty() && !plugin().streams.empty(); }, "the call");
}

TEST_F(IdleTest, AHostWithAnInstanceOfItsOwnStays) {
  int connections = 0;
  policy_.identify = [&](int socket) {
    auto peer = platform::peer_identity(socket);
    peer->host = platform::HostKey::of_process(1'000 + connections++, 1);  // Each is another host.
    return peer;
  };
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.trailers(stream);
  };
  auto m = manifest("kv");
  m.scope = plugin::Scope::kHost;
  apply({m});
  const auto host = connect("kv");
  Stream& call = host->request("/test.kv/Do", {}, false);
  wait_closed(call);
  for (int i = 0; i < 2; ++i) wait_lost(*connect());
  EXPECT_FALSE(host->saw_goaway) << "its instance would end, and what it keeps for the host";
  bool stopped = false;
  supervisor_->stop("kv", [&](const auto&) { stopped = true; });
  processes_.last().exit(0);
  run_until([&] { return stopped; }, "the instance to end");
  wait_lost(*host);
}

TEST_F(ForwardTest, ByDefaultNoConnectionIsClosed) { EXPECT_EQ(policy_.idle_timeout, 0ms); }

}  // namespace
}  // namespace plugind::forward::testing
