// What passes byte for byte: much at a time, through the one buffer into which all connections of a
// loop are read, and messages that the daemon could not read.
#include <gtest/gtest.h>

#include "proto/wire/framing.h"
#include "tests/unit/forward/raw_end.h"

namespace plugind::forward::testing {
namespace {

namespace raw = plugind::testing;
using raw::FrameType;

// What is read at a time; see transport.cc.
constexpr std::size_t kBuffer = 256 << 10;

/// So many bytes, of which each seed has others.
std::string bytes_of(std::size_t size, std::size_t seed) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i)
    bytes[i] = static_cast<char>((i + seed * 7919) * 2654435761u >> 13);
  return bytes;
}

class BurstsTest : public RawPluginTest {
 protected:
  /// A host that takes 1,000 bytes of a reply, and the rest when it is told to.
  std::shared_ptr<Peer> connect_late() {
    wire::Limits narrow;
    narrow.stream_window = 1'000;
    auto host = connect("", narrow);
    host->reads_by_itself = false;
    return host;
  }
  static void read_rest(Peer& host, Stream& call) {
    host.on_data_hook = [&host](Stream& more) { host.consume(more, more.unconsumed); };
    host.consume(call, call.unconsumed);
  }
  /// By which a socket holds more than the buffer.
  static void widen(RawEnd& end) {
    end.socket().set_option(boost::asio::socket_base::send_buffer_size(1 << 20));
  }
  static std::string frames_of(std::uint32_t stream, const std::string& data) {
    std::string frames;
    constexpr std::size_t kPiece = 16'000;
    for (std::size_t at = 0; at < data.size(); at += kPiece) {
      frames += raw_data(stream, data.substr(at, kPiece));
    }
    return frames;
  }
};

// A reader that kept what it has read in that buffer would give one plugin's bytes to the other's
// host.
TEST_F(BurstsTest, OfTwoPluginsAtATimeReachHostsThatReadLate) {
  struct Reply {
    std::shared_ptr<Peer> host;
    Stream* call = nullptr;
    RawCall at;
    std::string data;
    std::string frames;
    std::string_view left;
  };
  apply({manifest("one"), manifest("two")});
  // All that a stream's window takes.
  const std::size_t size = limits_.stream_window;
  std::vector<Reply> replies(2);
  for (std::size_t i = 0; i < replies.size(); ++i) {
    Reply& reply = replies[i];
    reply.host = connect_late();
    reply.call = &reply.host->request(i == 0 ? "/test.one/Do" : "/test.two/Do", {}, false);
    reply.at = next_call();
    ASSERT_TRUE(reply.at.plugin);
    widen(*reply.at.plugin);
    reply.data = framed(bytes_of(size - wire::kMessagePrefixSize, i));
    reply.frames = raw_headers(reply.at.stream) + frames_of(reply.at.stream, reply.data) +
                   raw_trailers(reply.at.stream, "0");
    reply.left = reply.frames;
  }
  // Their sockets hold more than the buffer before either is read.
  for (Reply& reply : replies) {
    reply.at.plugin->write_some(reply.left);
    EXPECT_GT(reply.frames.size() - reply.left.size(), kBuffer);
  }
  run_until(
      [&] {
        for (Reply& reply : replies) reply.at.plugin->write_some(reply.left);
        return replies[0].left.empty() && replies[1].left.empty();
      },
      "the plugins to write");
  for (Reply& reply : replies) wait_read(*reply.at.plugin);
  for (Reply& reply : replies) {
    run_until([&] { return reply.call->data.size() == 1'000; }, "what the host takes");
    EXPECT_FALSE(reply.call->closed);
    read_rest(*reply.host, *reply.call);
  }
  for (Reply& reply : replies) {
    wait_closed(*reply.call);
    EXPECT_TRUE(reply.call->data == reply.data);
    EXPECT_EQ(reply.call->trailers["grpc-status"], "0");
  }
}

// A turn ends when the buffer has been filled twice, and a read that fills it may be the last one.
TEST_F(BurstsTest, RightBeforeTheEndOfAPluginsConnectionReachTheHost) {
  const std::vector<std::size_t> sizes = {kBuffer - 1, kBuffer, kBuffer + 1, 2 * kBuffer};
  std::vector<plugin::Manifest> manifests;
  for (const std::size_t size : sizes) manifests.push_back(manifest("p" + std::to_string(size)));
  apply(manifests);
  for (const std::size_t size : sizes) {
    SCOPED_TRACE(size);
    const auto host = connect_late();
    Stream& call = host->request("/test.p" + std::to_string(size) + "/Do", {}, false);
    const auto [plugin, stream] = next_call();
    ASSERT_TRUE(plugin);
    widen(*plugin);
    wait_read(*plugin);  // So that what follows is all there is to read.
    const std::string head = raw_headers(stream);
    const std::string end = raw_trailers(stream, "5");
    std::size_t room = size - head.size() - end.size();
    // A frame's header for each piece, of which the last one is not whole.
    const std::size_t pieces = room / 16'009 + 1;
    const std::string data = framed(bytes_of(room - 9 * pieces - wire::kMessagePrefixSize, size));
    const std::string burst = head + frames_of(stream, data) + end;
    ASSERT_EQ(burst.size(), size);
    std::string_view left = burst;
    run_until(
        [&] {
          plugin->write_some(left);
          return left.empty();
        },
        "the plugin to write");
    plugin->end();
    run_until([&] { return plugin->ended(); }, "the daemon to close the connection");
    read_rest(*host, call);
    wait_closed(call);
    EXPECT_TRUE(call.data == data);
    EXPECT_EQ(call.trailers["grpc-status"], "5");
  }
}

// What came before the end is passed on, and then the end.
TEST_F(BurstsTest, RightBeforeTheEndOfAHostsConnectionAreAnswered) {
  plugins_are_deaf_ = false;
  apply({manifest("echo")});
  const auto before = connect();
  std::vector<Stream*> calls;
  serve_ = [&](Peer&, Stream& stream) { calls.push_back(&stream); };
  before->request("/test.echo/Do", {}, false);
  run_until([&] { return calls.size() == 1; }, "the plugin");
  ASSERT_FALSE(HasFatalFailure());
  for (const std::size_t size : {kBuffer - 1, kBuffer, kBuffer + 1, 2 * kBuffer}) {
    SCOPED_TRACE(size);
    RawEnd host(connect_raw(), wire::Role::kClient);
    widen(host);
    host.write(raw::http2_preface());
    run_until([&] { return host.count(FrameType::kSettings) > 0; }, "the daemon's settings");
    host.acknowledge();
    wait_read(host);
    const auto headers = [](const char* path, std::uint8_t flags, std::uint32_t stream) {
      return raw::frame(FrameType::kHeaders, raw::kEndHeaders | flags, stream,
                        raw::header_block(raw::grpc_headers(path)));
    };
    const std::string head = headers("/no.Service/Do", 0, 1);
    const std::string end = headers("/test.echo/Do", raw::kEndStream, 3);
    const std::size_t room = size - head.size() - end.size();
    const std::size_t pieces = room / 16'009 + 1;
    const std::string burst = head + frames_of(1, bytes_of(room - 9 * pieces, size)) + end;
    ASSERT_EQ(burst.size(), size);
    const std::size_t known = calls.size();
    std::string_view left = burst;
    run_until(
        [&] {
          host.write_some(left);
          return left.empty();
        },
        "the host to write");
    host.end();
    run_until([&] { return host.ended(); }, "the daemon to close the connection");
    EXPECT_EQ(host.count(FrameType::kHeaders, raw::kEndStream), 1u) << "the first call's answer";
    run_until([&] { return calls.size() == known + 1; }, "the last call");
    ASSERT_FALSE(HasFatalFailure());
    wait_closed(*calls.back());
    EXPECT_EQ(calls.back()->error, wire::kCancel);
  }
}

// -- messages that only their receiver can read -----------------------------------------------

using CompressedTest = ForwardTest;

/// A message whose prefix says that it is compressed.
std::string compressed(const std::string& bytes) {
  std::string message = framed(bytes);
  message[0] = '\1';
  return message;
}

TEST_F(CompressedTest, MessagesPassBothWaysAsTheyAre) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream, {{"grpc-encoding", "x-own"}, {"grpc-accept-encoding", "x-own"}});
  };
  auto m = manifest("echo");
  m.calls_max_message = 50'000;  // Of what is sent, as it is not known what that becomes.
  apply({m});
  const auto host = connect();
  Stream& call = host->request(
      "/test.echo/Do", {{"grpc-encoding", "x-other"}, {"grpc-accept-encoding", "gzip, x-own"}});
  const std::string asked =
      compressed(bytes_of(50'000, 1)) + framed("plain") + compressed("") + compressed("x");
  const std::string answered =
      framed("plain") + compressed(bytes_of(50'000, 2)) + compressed("") + compressed("y");
  host->send(call, asked);
  host->finish(call);
  run_until(
      [&] {
        return !plugins_.empty() && !plugin().streams.empty() &&
               plugin().streams.begin()->second->ended;
      },
      "the request");
  ASSERT_FALSE(HasFatalFailure());
  Stream& seen = *plugin().streams.begin()->second;
  EXPECT_TRUE(seen.data == asked);
  EXPECT_EQ(seen.headers["grpc-encoding"], "x-other");
  EXPECT_EQ(seen.headers["grpc-accept-encoding"], "gzip, x-own");
  // Also when a prefix comes in pieces.
  plugin().send(seen, answered.substr(0, 11));
  run_until([&] { return call.data.size() == 10; }, "the first message");
  EXPECT_EQ(call.data, framed("plain")) << "what has come of a prefix is held";
  plugin().send(seen, answered.substr(11));
  plugin().trailers(seen);
  wait_closed(call);
  EXPECT_TRUE(call.data == answered);
  EXPECT_EQ(call.headers["grpc-encoding"], "x-own");
  EXPECT_EQ(call.headers["grpc-accept-encoding"], "x-own");
  EXPECT_EQ(call.trailers["grpc-status"], "0");
}

}  // namespace
}  // namespace plugind::forward::testing
