// A connection to an instance by itself: how often it writes, and what it says of the calls that
// are lost with it.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/write.hpp>

#include "tests/support/raw_http2.h"
#include "tests/unit/forward/forward_fixture.h"
#include "tests/unit/forward/raw_end.h"

namespace plugind::forward::testing {
namespace {

namespace raw = plugind::testing;

/// A call as the connection sees it.
struct Sink final : StreamSink {
  void on_headers(wire::SessionHandler::Block, wire::HeaderList&, bool) override {}
  void on_data(const std::uint8_t*, std::size_t size) override {
    received += size;
    core->transport()->session().consume(stream, size);
    core->transport()->touch();
  }
  void on_end_of_data() override {}
  void on_body_sent(std::size_t) override {}
  void on_headers_too_large() override {}
  void on_closed(std::uint32_t) override { closed = true; }
  void on_connection_lost(bool sent) override { lost_sent = sent; }

  wire::Body body;
  UpstreamCore* core = nullptr;
  wire::StreamId stream = -1;
  std::size_t received = 0;
  bool closed = false;
  std::optional<bool> lost_sent;
};

class UpstreamTest : public ForwardTest {
 protected:
  ~UpstreamTest() override {
    if (core_) core_->close();
  }

  /// Of which the plugin has greeted.
  void connect_over(Transport::Socket socket, const std::function<void(const std::string&)>& write,
                    const wire::Limits& limits = {}) {
    core_ = std::make_shared<UpstreamCore>(queue_, loop_.get_executor(), std::move(socket), limits);
    core_->start();
    write(wide_greeting() + raw::frame(raw::FrameType::kSettings, raw::kAck, 0, ""));
    run_until([&] { return core_->settings_seen(); }, "the greeting");
    run_idle();
  }

  /// A call whose request has so many bytes.
  Sink& open(std::size_t body) {
    Sink& call = calls_.emplace_back();
    wire::HeaderList request;
    for (const auto& [name, value] : raw::grpc_headers("/test.echo/Do")) request.add(name, value);
    call.core = core_.get();
    if (body > 0) call.body.bytes.append(std::string(body, 'x').data(), body);
    call.body.finished = true;
    call.stream = core_->open(request, body > 0 ? &call.body : nullptr, call);
    EXPECT_GT(call.stream, 0);
    return call;
  }
  std::uint64_t queued() { return core_->transport()->queued_total(); }
  std::uint64_t written() { return core_->transport()->written_total(); }

  std::shared_ptr<UpstreamCore> core_;
  std::deque<Sink> calls_;
};

class SocketPairTest : public UpstreamTest {
 protected:
  SocketPairTest() { connect_pair(); }
  void connect_pair() {
    plugin_.close();
    boost::asio::local::stream_protocol::socket ours(loop_);
    boost::asio::local::connect_pair(plugin_, ours);
    ours.set_option(boost::asio::socket_base::send_buffer_size(32 << 10));
    connect_over(Transport::Socket(std::move(ours)),
                 [&](const std::string& bytes) { write(plugin_, boost::asio::buffer(bytes)); });
    read();
  }
  /// All that is there.
  std::string read() {
    std::string bytes(plugin_.available(), '\0');
    bytes.resize(plugin_.read_some(boost::asio::buffer(bytes)));
    return bytes;
  }

  boost::asio::local::stream_protocol::socket plugin_{loop_};
};

// -- the end of a connection ------------------------------------------------------------------

using GoodbyeOfAPluginTest = SocketPairTest;

TEST_F(GoodbyeOfAPluginTest, IsAGoawayWithoutAnError) {
  for (const bool has_call : {true, false}) {
    SCOPED_TRACE(has_call);
    if (has_call) open(0);
    const auto id = static_cast<std::uint32_t>(has_call ? 1 : 0);
    EXPECT_FALSE(core_->said_goodbye());
    write(plugin_, boost::asio::buffer(raw::frame(raw::FrameType::kGoaway, 0, 0,
                                                  raw_numbers({id, wire::kNoError}))));
    run_until([&] { return !core_->accepts_streams(); }, "the goodbye");
    run_idle();
    // Without a call the connection is of no use and closed at once.
    EXPECT_EQ(core_->closed(), !has_call);
    EXPECT_TRUE(core_->said_goodbye());
    core_->close();
    EXPECT_TRUE(core_->said_goodbye());
    connect_pair();
  }
}

TEST_F(GoodbyeOfAPluginTest, IsNoGoawayWithAnError) {
  open(0);
  write(plugin_, boost::asio::buffer(raw::frame(raw::FrameType::kGoaway, 0, 0,
                                                raw_numbers({1, wire::kEnhanceYourCalm}))));
  run_until([&] { return !core_->accepts_streams(); }, "the end");
  EXPECT_FALSE(core_->said_goodbye());
}

TEST_F(GoodbyeOfAPluginTest, IsNotTheEndOfTheSocket) {
  plugin_.close();
  run_until([&] { return !core_->accepts_streams(); }, "the end");
  EXPECT_FALSE(core_->said_goodbye());
}

// -- lost calls -------------------------------------------------------------------------------

using LostCallsTest = SocketPairTest;

TEST_F(LostCallsTest, AreToldWhetherAByteOfThemWasWritten) {
  const Sink& written_in_part = open(400'000);
  run_until([&] { return queued() > written() && written() > 0; }, "the socket to be full");
  const std::uint64_t body_end = queued();
  const Sink& behind_it = open(0);
  run_idle();
  ASSERT_EQ(queued(), body_end) << "while the socket is full nothing more is queued";
  read();
  run_until([&] { return queued() > body_end; }, "the second call to be queued");
  run_idle();
  ASSERT_LT(written(), body_end) << "the socket took all";
  const Sink& not_queued = open(0);
  core_->close();
  EXPECT_EQ(written_in_part.lost_sent, true);
  EXPECT_EQ(behind_it.lost_sent, false);
  EXPECT_EQ(not_queued.lost_sent, false);
}

TEST_F(LostCallsTest, AreToldOfTheirFirstByte) {
  open(400'000);
  run_until([&] { return queued() > written() && written() > 0; }, "the socket to be full");
  const std::uint64_t body_end = queued();
  const Sink& small = open(0);
  run_until(
      [&] {
        if (plugin_.available() > 0) read();
        return written() > body_end;
      },
      "bytes of the second call to be written");
  core_->close();
  EXPECT_EQ(small.lost_sent, true);
}

// What a connection still writes as it ends may be a request, and a plugin that reads it may act on
// it: it must not be sent a second time.
TEST_F(LostCallsTest, AreToldOfWhatIsWrittenAsTheConnectionEnds) {
  {
    const FlushQueue::Turn turn(queue_);
    open(0);
    core_->close();
  }
  const std::string seen = read();
  const auto request = static_cast<char>(raw::FrameType::kHeaders);
  ASSERT_GT(seen.size(), 4u);
  ASSERT_EQ(seen[3], request) << "nothing of the call was written, so this shows nothing";
  EXPECT_EQ(calls_.front().lost_sent, true);
}

// -- writes -----------------------------------------------------------------------------------

// A socket that keeps the bytes of each write together, by which writes can be counted.
class WritesTest : public UpstreamTest {
 protected:
  static constexpr int kCalls = 50;

  static wire::Limits limits() {
    wire::Limits limits;
    limits.stream_window = 100;
    return limits;
  }
  WritesTest() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
      throw std::system_error(errno, std::generic_category(), "socketpair");
    }
    const boost::asio::generic::stream_protocol protocol(AF_UNIX, 0);
    plugin_.assign(protocol, ends[0]);
    connect_over(
        Transport::Socket(loop_, protocol, ends[1]), [&](const std::string& bytes) { send(bytes); },
        limits());
    writes();
  }
  void send(const std::string& bytes) {
    ASSERT_EQ(::send(plugin_.native_handle(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  }
  /// What the daemon has written since the last time, write by write.
  std::vector<std::string> writes() {
    std::vector<std::string> result;
    while (true) {
      std::string bytes(1 << 20, '\0');
      const ssize_t size =
          ::recv(plugin_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (size <= 0) return result;
      bytes.resize(static_cast<std::size_t>(size));
      result.push_back(std::move(bytes));
    }
  }
  /// How many frames of this type begin in whole frames.
  static int frames(const std::string& bytes, raw::FrameType type) {
    int count = 0;
    for (std::size_t at = 0; at + 9 <= bytes.size();) {
      const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[at + i]); };
      count += byte(3) == static_cast<std::uint8_t>(type);
      at += 9 + (std::size_t{byte(0)} << 16 | std::size_t{byte(1)} << 8 | byte(2));
    }
    return count;
  }

  Transport::Socket plugin_{loop_};
};

TEST_F(WritesTest, AreOneForAllFramesOfATurn) {
  {
    const FlushQueue::Turn turn(queue_);
    for (int i = 0; i < kCalls; ++i) open(100);
  }
  std::vector<std::string> seen = writes();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(frames(seen[0], raw::FrameType::kHeaders), kCalls);
  EXPECT_EQ(frames(seen[0], raw::FrameType::kData), kCalls);

  // The turn of an event from outside: windows that all the replies have used up.
  std::string replies;
  for (const Sink& call : calls_) {
    const auto stream = static_cast<std::uint32_t>(call.stream);
    replies += raw::frame(raw::FrameType::kHeaders, raw::kEndHeaders, stream,
                          raw::header_block({{":status", "200"}}));
    replies += raw::frame(raw::FrameType::kData, 0, stream, std::string(100, 'y'));
  }
  ASSERT_LT(replies.size(), 8u << 10) << "it must be read at once";
  send(replies);
  run_until([&] { return calls_.back().received == 100; }, "the replies");
  run_idle();
  seen = writes();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(frames(seen[0], raw::FrameType::kWindowUpdate), kCalls);
}

// Pieces that are not copied together leave together all the same.
TEST_F(WritesTest, AreOneForALargeBody) {
  open(100'000);
  run_until([&] { return written() > 100'000; }, "the body");
  const std::vector<std::string> seen = writes();
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(frames(seen[0], raw::FrameType::kData), 7) << "16 KiB each";
}

}  // namespace
}  // namespace plugind::forward::testing
