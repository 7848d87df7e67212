// The end of connections that the daemon closes.
#include <gtest/gtest.h>

#include <boost/asio/write.hpp>

#include "tests/support/raw_http2.h"
#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

using namespace std::chrono_literals;
using plugind::testing::FrameType;

// HEADERS, the last of stream 1.
const std::string kTrailers("\x01\x05\x00\x00\x00\x01", 6);
// A frame of the connection: its type, no flags, stream 0.
const std::string kGoaway("\x07\x00\x00\x00\x00\x00", 6);

/// It reads and writes what the test says, and nothing by itself.
class RawHost {
 public:
  explicit RawHost(Transport::Socket socket) : socket_(std::move(socket)) {
    socket_.non_blocking(true);
    EXPECT_TRUE(write(plugind::testing::http2_preface()));
  }

  bool write(const std::string& bytes) {
    boost::system::error_code ec;
    boost::asio::write(socket_, boost::asio::buffer(bytes), ec);
    return !ec;
  }
  bool call(const std::string& path, std::uint32_t stream = 1) {
    using namespace plugind::testing;
    return write(frame(FrameType::kHeaders, kEndHeaders, stream, header_block(grpc_headers(path))));
  }
  /// Whether the daemon says no more.
  bool read_to_end() {
    char buffer[4'096];
    boost::system::error_code ec;
    while (!ec) read_.append(buffer, socket_.read_some(boost::asio::buffer(buffer), ec));
    return ec == boost::asio::error::eof;
  }
  const std::string& read() const { return read_; }
  /// Whether these bytes have come.
  bool has_read(const std::string& bytes) {
    read_to_end();
    return read_.find(bytes) != std::string::npos;
  }
  /// The first header block of a stream; empty if none has come.
  std::map<std::string, std::string> headers_of(std::uint32_t stream) {
    read_to_end();
    plugind::testing::HeaderDecoder decoder;  // Which needs all blocks of a connection.
    const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(read_[at]); };
    std::size_t size = 0;
    for (std::size_t at = 0; at + 9 <= read_.size(); at += 9 + size) {
      size = std::size_t{byte(at)} << 16 | std::size_t{byte(at + 1)} << 8 | byte(at + 2);
      if (byte(at + 3) != static_cast<std::uint8_t>(FrameType::kHeaders)) continue;
      if (at + 9 + size > read_.size()) break;
      const auto headers = decoder.decode(read_.substr(at + 9, size));
      if (byte(at + 8) == stream) return {headers.begin(), headers.end()};
    }
    return {};
  }
  void close() { socket_.close(); }

 private:
  Transport::Socket socket_;
  std::string read_;
};

class GoodbyeTest : public ForwardTest {
 protected:
  GoodbyeTest() {
    policy_.linger = 60s;  // Longer than any test waits.
    serve_ = [](Peer& plugin, Stream& stream) { plugin.respond(stream); };
  }

  /// A host whose call the plugin has.
  RawHost calling() {
    RawHost host(connect_raw());
    EXPECT_TRUE(host.call("/test.echo/Do"));
    run_until([&] { return !plugins_.empty() && !plugin().streams.empty(); }, "the call");
    return host;
  }
  void end_call() { plugin().trailers(*plugin().streams.begin()->second, {{"grpc-status", "5"}}); }
  void wait_end(RawHost& host) {
    run_until([&] { return host.read_to_end(); }, "the end of what the daemon says");
  }
  void finish() {
    forwarder_->finish([this] { finished_ = true; });
  }

  bool finished_ = false;
};

TEST_F(GoodbyeTest, ACallThatComesAfterItIsToldWhyAndDisturbsNone) {
  apply({manifest("echo")});
  RawHost host = calling();
  forwarder_->drain();
  run_until([&] { return host.has_read(kGoaway); }, "GOAWAY");
  EXPECT_TRUE(host.call("/test.echo/Do", 3));
  run_until([&] { return !host.headers_of(3).empty(); }, "the answer");
  const auto told = host.headers_of(3);
  EXPECT_EQ(told.at("grpc-status"), "14");
  EXPECT_EQ(reason_of(told), "DAEMON_DRAINING");
  EXPECT_EQ(plugin().streams.size(), 1u) << "the plugin has heard of it";
  EXPECT_FALSE(host.read_to_end()) << "the first call goes on";
  end_call();
  wait_end(host);
  EXPECT_NE(host.read().find(kTrailers), std::string::npos);
}

TEST_F(GoodbyeTest, AHostThatIsWritingIsNotHinderedToReadTheEndOfItsCall) {
  apply({manifest("echo")});
  RawHost host = calling();
  forwarder_->drain();
  end_call();
  wait_end(host);
  EXPECT_NE(host.read().find(kTrailers), std::string::npos);
  EXPECT_TRUE(host.write(plugind::testing::frame(FrameType::kPing, 0, 0, "12345678")));
  EXPECT_TRUE(host.write(std::string(20'000, 'x'))) << "whatever it is";
  run_idle();
  EXPECT_EQ(connections(), 1u);
  host.close();
  run_until([&] { return connections() == 0; }, "the connection to end");
}

TEST_F(GoodbyeTest, AHostThatStaysIsClosedAfterTheBound) {
  policy_.linger = 30ms;
  apply({manifest("echo")});
  RawHost host(connect_raw());
  run_until([&] { return connections() == 1; }, "the connection");
  forwarder_->drain();
  wait_end(host);
  run_until([&] { return forwarder_->connections() == 0; }, "the connection to end");
  EXPECT_FALSE(host.write(plugind::testing::frame(FrameType::kPing, 0, 0, "12345678")));
}

TEST_F(GoodbyeTest, IsOverWhenHostsThatHadCallsHaveClosed) {
  apply({manifest("echo")});
  RawHost settled(connect_raw());
  RawHost host = calling();
  forwarder_->drain();
  end_call();
  wait_end(host);
  finish();
  run_until([&] { return forwarder_->connections() == 1; },
            "the connection without a call to be closed");
  run_idle();
  EXPECT_FALSE(finished_);
  host.close();
  run_until([&] { return finished_; }, "the end");
}

TEST_F(GoodbyeTest, AHostThatReadsSlowlyGetsWhatIsLeft) {
  apply({manifest("echo")});
  RawHost host(connect_raw());
  using plugind::testing::frame;
  const std::string megabyte("\x00\x10\x00\x00", 4);
  const std::string initial_window("\x00\x04", 2);
  EXPECT_TRUE(host.write(frame(FrameType::kSettings, 0, 0, initial_window + megabyte) +
                         frame(FrameType::kWindowUpdate, 0, 0, megabyte)));
  EXPECT_TRUE(host.call("/test.echo/Do"));
  run_until([&] { return !plugins_.empty() && !plugin().streams.empty(); }, "the call");
  // The socket is nearly full when the last piece comes, together with the end.
  Stream& stream = *plugin().streams.begin()->second;
  plugin().send(stream, framed(std::string(150 << 10, 'x')));
  run_idle();
  plugin().send(stream, framed(std::string(120 << 10, 'x')));
  end_call();
  run_idle();
  forwarder_->drain();
  finish();
  run_idle();
  EXPECT_FALSE(finished_);
  wait_end(host);
  EXPECT_NE(host.read().find(kTrailers), std::string::npos);
  host.close();
  run_until([&] { return finished_; }, "the end");
}

TEST_F(GoodbyeTest, OfAHostThatBreaksHttp2EndsItsCallsAtOnce) {
  apply({manifest("echo")});
  RawHost host = calling();
  // The last stream that it says it has taken is one of its own, which only the daemon may say.
  const std::string goodbye("\x00\x00\x00\x01\x00\x00\x00\x00", 8);
  EXPECT_TRUE(host.write(plugind::testing::frame(FrameType::kGoaway, 0, 0, goodbye)));
  run_until([&] { return plugin().streams.begin()->second->closed; }, "the call to be cancelled");
}

TEST_F(GoodbyeTest, WaitsForNobodyWhoHadNoCall) {
  apply({manifest("echo")});
  const RawHost settled(connect_raw());
  run_until([&] { return connections() == 1; }, "the connection");
  forwarder_->drain();
  finish();
  run_until([&] { return finished_; }, "the end");
}

TEST_F(GoodbyeTest, IsOverAtTheBoundWhateverIsLeft) {
  policy_.linger = 30ms;
  apply({manifest("echo")});
  const RawHost host = calling();
  forwarder_->drain();
  finish();
  run_until([&] { return finished_; }, "the end");
  EXPECT_EQ(forwarder_->connections(), 1u);
}

}  // namespace
}  // namespace plugind::forward::testing
