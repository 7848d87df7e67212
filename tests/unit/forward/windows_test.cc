// Bytes that nobody is going to read must be given back to whoever sent them: each place in the
// code where a stream has ended and bytes of it are still there.  The windows are so small that
// what is kept stops everything after a few calls.
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/write.hpp>

#include "tests/support/raw_http2.h"
#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

constexpr std::size_t kPiece = 20'000;
// So many pieces are more than a connection's window.
constexpr int kCalls = 20;

class WindowsTest : public ForwardTest {
 protected:
  static wire::Limits limits() {
    wire::Limits limits;
    limits.stream_window = 65'535;
    limits.connection_window = 128 << 10;
    limits.connection_unconsumed = 0;
    return limits;
  }
  WindowsTest() : ForwardTest(limits()) {}

  /// A host that reads by hand, and of a stream takes 1,000 bytes.
  std::shared_ptr<Peer> connect_narrow() {
    wire::Limits narrow;
    narrow.stream_window = 1'000;
    auto host = connect("", narrow);
    host->reads_by_itself = false;
    return host;
  }
  /// The stream of the last call at the plugin.
  Stream& seen() { return *plugin().streams.rbegin()->second; }
  /// The plugin has got rid of a piece, which it can only while its windows are open.
  void wait_piece_sent(std::size_t calls) {
    run_until(
        [&] {
          return !plugins_.empty() && plugin().streams.size() == calls && seen().sent == kPiece;
        },
        "the plugin to send");
  }
};

// -- replies ----------------------------------------------------------------------------------

TEST_F(WindowsTest, WhatWaitsForAHostThatCancels) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, std::string(kPiece, 'y'));
  };
  apply({manifest("echo")});
  const auto host = connect_narrow();
  for (int i = 1; i <= kCalls; ++i) {
    Stream& call = host->request("/test.echo/Do", {}, false);
    wait_piece_sent(i);
    run_until([&] { return call.data.size() == 1'000; }, "what the host takes");
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    host->reset(call, wire::kCancel);
    host->consume(call, call.unconsumed);
    wait_closed(seen());
  }
}

TEST_F(WindowsTest, WhatWaitsForAHostThatHasDisconnected) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, std::string(kPiece, 'y'));
  };
  apply({manifest("echo")});
  for (int i = 1; i <= kCalls; ++i) {
    auto host = connect_narrow();
    host->request("/test.echo/Do", {}, false);
    wait_piece_sent(i);
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    host.reset();
    wait_closed(seen());
  }
}

TEST_F(WindowsTest, WhatWaitsForAHostWhenThePluginResetsTheCall) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, std::string(kPiece, 'y'));
  };
  apply({manifest("echo")});
  const auto host = connect_narrow();
  for (int i = 1; i <= kCalls; ++i) {
    Stream& call = host->request("/test.echo/Do", {}, false);
    wait_piece_sent(i);
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    plugin().reset(seen(), wire::kInternalError);
    wait_closed(call);
    host->consume(call, call.unconsumed);
  }
}

// Four bytes with each call: this takes more of them than the others.
TEST_F(WindowsTest, WhatIsHeldOfAMessagesPrefix) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, std::string(4, '\0'));
  };
  apply({manifest("echo")});
  const auto host = connect();
  for (int i = 0; i < (128 << 10) / 4 + 10; ++i) {
    Stream& call = host->request("/test.echo/Do", {}, false);
    run_until(
        [&] { return !call.headers.empty() && !plugin().streams.empty() && seen().sent == 4; },
        "the plugin to send");
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    host->reset(call, wire::kCancel);
    wait_closed(seen());
    host->streams.clear();
    plugin().streams.clear();
  }
}

class LargeRepliesTest : public WindowsTest {
 protected:
  /// Calls whose replies have `size` bytes, where 1,000 are allowed.
  void call(std::size_t size) {
    serve_ = [=](Peer& plugin, Stream& stream) {
      plugin.respond(stream);
      plugin.send(stream, framed(std::string(size, 'y')));
      plugin.trailers(stream);
    };
    auto m = manifest("echo");
    m.calls_max_message = 1'000;
    apply({m});
    const auto host = connect();
    const int calls = static_cast<int>((256 << 10) / size);
    for (int i = 1; i <= calls; ++i) {
      Stream& call = host->request("/test.echo/Do", {}, false);
      wait_closed(call);
      ASSERT_FALSE(HasFatalFailure()) << "call " << i;
      EXPECT_EQ(call.trailers["grpc-status"], "8");
    }
  }
};

// In one piece with the prefix that tells its size.
TEST_F(LargeRepliesTest, WhatIsCutOffAReplyOverTheBound) { call(4'000); }

// In pieces that come in the same turn, before the reset has been sent.
TEST_F(LargeRepliesTest, WhatFollowsTheBeginningOfAReplyOverTheBound) { call(60'000); }

TEST_F(WindowsTest, WhatThePluginSendsToTheDaemonItself) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    for (int i = 0; i < kCalls; ++i) plugin.send(stream, framed(std::string(kPiece, 'y')));
    plugin.trailers(stream);
  };
  apply({manifest("echo")});
  std::unique_ptr<plugin::Connection> connection;
  int messages = 0;
  bool ended = false;
  const auto host = connect();
  wait_closed(host->request("/test.echo/Do", {}, false));  // The plugin listens now.
  boost::asio::co_spawn(
      loop_,
      [&]() -> boost::asio::awaitable<void> {
        const plugin::Endpoint endpoint{"unix:" + (directory_ / "instances" / "1" / "s").string()};
        auto connected = co_await connector_.connect(endpoint, std::chrono::seconds(5));
        if (!connected) co_return;
        connection = std::move(*connected);
        connection->server_stream(
            "/plugin.GRPCStdio/StreamStdio", "", [&](std::string_view) { ++messages; },
            [&](const plugin::CallResult&) { ended = true; });
      },
      boost::asio::detached);
  run_until([&] { return ended; }, "the stream to end");
  EXPECT_EQ(messages, kCalls);
}

// -- requests ---------------------------------------------------------------------------------

class RequestsTest : public WindowsTest {
 protected:
  RequestsTest() {
    plugin_limits_ = {};
    plugin_limits_.stream_window = 1'000;  // It reads nothing by itself, see below.
  }
  /// The plugin holds a request of which most waits in the daemon.
  Stream& begin(const std::shared_ptr<Peer>& host, std::size_t calls) {
    Stream& call = host->request("/test.echo/Do");
    host->send(call, std::string(kPiece, 'x'));
    run_until(
        [&] {
          if (plugins_.empty()) return false;
          plugin().reads_by_itself = false;
          return plugin().streams.size() == calls && call.sent == kPiece;
        },
        "the host to send");
    return call;
  }
};

TEST_F(RequestsTest, WhatWaitsForAPluginThatAnswersEarly) {
  apply({manifest("echo")});
  const auto host = connect();
  for (int i = 1; i <= kCalls; ++i) {
    Stream& call = begin(host, i);
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    plugin().respond(seen(), {{"grpc-status", "8"}}, false);
    wait_closed(call);
    wait_closed(seen());
  }
}

TEST_F(RequestsTest, WhatWaitsForAPluginThatResetsTheCall) {
  apply({manifest("echo")});
  const auto host = connect();
  for (int i = 1; i <= kCalls; ++i) {
    Stream& call = begin(host, i);
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    plugin().reset(seen(), wire::kInternalError);
    wait_closed(call);
  }
}

TEST_F(RequestsTest, WhatWaitsWhenTheHostCancels) {
  apply({manifest("echo")});
  const auto host = connect();
  for (int i = 1; i <= kCalls; ++i) {
    Stream& call = begin(host, i);
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    host->reset(call, wire::kCancel);
    wait_closed(seen());
  }
}

TEST_F(RequestsTest, WhatComesForACallThatWasRefused) {
  apply({manifest("echo")});
  const auto host = connect();
  for (int i = 1; i <= kCalls; ++i) {
    Stream& call = host->request("/no.Service/Do");
    host->send(call, std::string(kPiece, 'x'));
    wait_closed(call);
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    EXPECT_EQ(call.trailers["grpc-status"], "5");
    ASSERT_EQ(call.sent, kPiece) << "the window has become too small for call " << i;
  }
}

TEST_F(RequestsTest, WhatComesOfARequestOverTheBound) {
  auto m = manifest("echo");
  m.calls_max_message = 1'000;
  apply({m});
  const auto host = connect();
  for (int i = 1; i <= kCalls; ++i) {
    Stream& call = host->request("/test.echo/Do");
    host->send(call, framed(std::string(kPiece, 'x')));
    wait_closed(call);
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    EXPECT_EQ(call.trailers["grpc-status"], "8");
    ASSERT_EQ(call.sent, 5 + kPiece) << "the window has become too small for call " << i;
  }
}

// The daemon answers it while it waits for an instance that does not become ready.
TEST_F(RequestsTest, WhatWaitedForAnInstance) {
  apply({manifest("echo")});
  const auto host = connect();
  for (int i = 1; i <= kCalls; ++i) {
    next_start_error_ = make_error(Reason::kHandshakeInvalid, "it printed garbage");
    Stream& call = host->request("/test.echo/Do");
    host->send(call, std::string(kPiece, 'x'));
    wait_closed(call);
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    EXPECT_EQ(call.trailers["grpc-status"], "14");
    ASSERT_EQ(call.sent, kPiece) << "the window has become too small for call " << i;
  }
  EXPECT_EQ(starts_, kCalls);
}

TEST_F(RequestsTest, WhatWaitedForAnInstanceWhenTheHostCancels) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream, {{"grpc-status", "0"}}, false);
  };
  apply({manifest("echo")});
  const auto host = connect();
  holds_starts_ = true;
  for (int i = 1; i <= kCalls; ++i) {
    Stream& call = host->request("/test.echo/Do");
    host->send(call, std::string(kPiece, 'x'));
    run_until([&] { return call.sent == kPiece; }, "the host to send");
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    host->reset(call, wire::kCancel);
  }
  release_starts();
}

// -- frames that were read in part ------------------------------------------------------------

// A frame may be longer than what is read in a turn.  When the stream ends in between, the rest of
// the frame belongs to no stream any more.  The code relies on nghttp2 to give it back.
constexpr std::size_t kFrame = 16'000;
constexpr std::size_t kFirstPart = 5'000;

void write(boost::asio::local::stream_protocol::socket& socket, const std::string& bytes) {
  boost::system::error_code ec;
  boost::asio::write(socket, boost::asio::buffer(bytes), ec);
  ASSERT_FALSE(ec) << ec.message();
}

struct Ending final : StreamSink {
  void on_headers(wire::SessionHandler::Block, wire::HeaderList&, bool) override {}
  void on_data(const std::uint8_t*, std::size_t size) override { received += size; }
  void on_end_of_data() override {}
  void on_body_sent(std::size_t) override {}
  void on_headers_too_large() override {}
  void on_closed(std::uint32_t) override { closed = true; }
  void on_connection_lost(bool) override { lost = true; }
  std::size_t received = 0;
  bool closed = false;
  bool lost = false;
};

TEST_F(WindowsTest, TheRestOfAFrameWhoseStreamTheDaemonHasReset) {
  namespace raw = plugind::testing;
  using boost::asio::local::stream_protocol;
  stream_protocol::socket plugin(loop_);
  stream_protocol::socket ours(loop_);
  boost::asio::local::connect_pair(plugin, ours);
  const auto core = std::make_shared<UpstreamCore>(queue_, loop_.get_executor(),
                                                   Transport::Socket(std::move(ours)), limits_);
  core->start();
  write(plugin, raw::frame(raw::FrameType::kSettings, 0, 0, ""));
  wire::HeaderList request;
  for (const auto& [name, value] : raw::grpc_headers("/test.echo/Do")) request.add(name, value);
  for (std::uint32_t i = 0; i < kCalls; ++i) {
    Ending call;
    const auto before = core->transport()->written_total();
    const wire::StreamId stream = core->open(request, nullptr, call);
    run_until([&] { return core->transport()->written_total() > before; }, "the request");
    const auto id = static_cast<std::uint32_t>(stream);
    write(plugin, raw::frame(raw::FrameType::kHeaders, raw::kEndHeaders, id,
                             raw::header_block({{":status", "200"}})));
    const std::string data = raw::frame(raw::FrameType::kData, 0, id, std::string(kFrame, 'y'));
    write(plugin, data.substr(0, kFirstPart));
    run_until([&] { return call.received > 0 || call.lost; }, "the first part");
    ASSERT_FALSE(call.lost) << "the plugin broke the window of the connection, call " << i;
    core->transport()->session().consume(stream, call.received);
    core->transport()->session().reset(stream, wire::kCancel);
    core->transport()->touch();
    run_until([&] { return call.closed; }, "the stream to close");
    write(plugin, data.substr(kFirstPart));
  }
  run_idle();
  EXPECT_FALSE(core->closed());
  core->close();
}

TEST_F(WindowsTest, TheRestOfAFrameWhoseStreamTheHostNeedNotFinish) {
  namespace raw = plugind::testing;
  apply({manifest("echo")});
  auto socket = connect_raw();
  const auto write_raw = [&](const std::string& bytes) {
    boost::system::error_code ec;
    boost::asio::write(socket, boost::asio::buffer(bytes), ec);
    ASSERT_FALSE(ec) << ec.message();
  };
  write_raw(raw::http2_preface());
  for (std::uint32_t i = 0; i < kCalls; ++i) {
    const std::uint32_t id = 2 * i + 1;
    const std::string data = raw::frame(raw::FrameType::kData, 0, id, std::string(kFrame, 'x'));
    write_raw(raw::frame(raw::FrameType::kHeaders, raw::kEndHeaders, id,
                         raw::header_block(raw::grpc_headers("/test.echo/Do"))) +
              data.substr(0, kFirstPart));
    run_until(
        [&] {
          return !plugins_.empty() && plugin().streams.size() == i + 1 &&
                 seen().data.size() > kFirstPart - 10;
        },
        "the first part");
    ASSERT_FALSE(HasFatalFailure()) << "call " << i;
    // The daemon passes the answer on, and that the rest is not wanted.
    plugin().respond(seen(), {{"grpc-status", "8"}}, false);
    wait_closed(seen());
    write_raw(data.substr(kFirstPart));
  }
  run_idle();
  EXPECT_EQ(connections(), 1u);
}

}  // namespace
}  // namespace plugind::forward::testing
