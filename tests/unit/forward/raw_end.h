// Connections whose one end the test plays by hand, frame by frame.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/write.hpp>
#include <deque>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/raw_http2.h"
#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {

/// It writes what the test says, and nothing by itself.
class RawEnd {
 public:
  using Frame = plugind::testing::Frame;
  using FrameType = plugind::testing::FrameType;

  explicit RawEnd(Transport::Socket socket, wire::Role role) : socket_(std::move(socket)) {
    socket_.non_blocking(true);
    // What a client says before its first frame.
    if (role == wire::Role::kServer) skip_ = 24;
  }

  /// Of which the socket must take all at once.
  void write(const std::string& bytes) {
    boost::system::error_code ec;
    boost::asio::write(socket_, boost::asio::buffer(bytes), ec);
    EXPECT_FALSE(ec) << ec.message();
  }
  /// Takes what the socket takes off the front of `bytes`.
  void write_some(std::string_view& bytes) {
    boost::system::error_code ec;
    bytes.remove_prefix(socket_.write_some(boost::asio::buffer(bytes), ec));
  }
  /// The whole frames that have come so far, the first one first.
  const std::vector<Frame>& frames() {
    char buffer[64 << 10];
    boost::system::error_code ec;
    while (!ec) read_.append(buffer, socket_.read_some(boost::asio::buffer(buffer), ec));
    ended_ = ec == boost::asio::error::eof;
    while (read_.size() >= skip_ + 9) {
      const auto byte = [&](std::size_t at) {
        return std::uint32_t{static_cast<std::uint8_t>(read_[skip_ + at])};
      };
      const std::size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
      if (read_.size() < skip_ + 9 + size) break;
      frames_.push_back({static_cast<FrameType>(byte(3)), static_cast<std::uint8_t>(byte(4)),
                         byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8),
                         read_.substr(skip_ + 9, size)});
      read_.erase(0, skip_ + 9 + size);
      skip_ = 0;
    }
    return frames_;
  }
  std::size_t count(FrameType type, std::uint8_t flags = 0) {
    return static_cast<std::size_t>(std::ranges::count_if(
        frames(), [&](const Frame& f) { return f.type == type && (f.flags & flags) == flags; }));
  }
  /// Bytes of DATA that have come.
  std::size_t data_size() {
    std::size_t size = 0;
    for (const Frame& frame : frames()) {
      if (frame.type == FrameType::kData) size += frame.payload.size();
    }
    return size;
  }
  /// The stream of the next request that has come; 0 if there is none.
  std::uint32_t next_request() {
    frames();
    while (taken_ < frames_.size()) {
      const Frame& frame = frames_[taken_++];
      if (frame.type == FrameType::kHeaders) return frame.stream;
    }
    return 0;
  }
  /// The peer's settings, if they have come and it has not done so yet: before that the peer's
  /// windows are those of HTTP/2, 65,535 bytes.
  void acknowledge() {
    if (acknowledged_ || count(FrameType::kSettings) == 0) return;
    acknowledged_ = true;
    write(plugind::testing::frame(FrameType::kSettings, plugind::testing::kAck, 0, ""));
  }
  /// The peer has closed, or says no more.
  bool ended() {
    frames();
    return ended_;
  }
  /// Says no more itself.
  void end() { socket_.shutdown(boost::asio::socket_base::shutdown_send); }
  Transport::Socket& socket() { return socket_; }

 private:
  Transport::Socket socket_;
  std::string read_;
  std::size_t skip_ = 0;
  std::vector<Frame> frames_;
  std::size_t taken_ = 0;
  bool ended_ = false;
  bool acknowledged_ = false;
};

/// What a plugin writes of a reply.
inline std::string raw_headers(std::uint32_t stream) {
  using namespace plugind::testing;
  return frame(FrameType::kHeaders, kEndHeaders, stream,
               header_block({{":status", "200"}, {"content-type", "application/grpc"}}));
}
inline std::string raw_data(std::uint32_t stream, const std::string& bytes) {
  return plugind::testing::frame(plugind::testing::FrameType::kData, 0, stream, bytes);
}
inline std::string raw_trailers(std::uint32_t stream, const std::string& status) {
  using namespace plugind::testing;
  return frame(FrameType::kHeaders, kEndHeaders | kEndStream, stream,
               header_block({{"grpc-status", status}}));
}
/// A payload of one or two numbers.
inline std::string raw_numbers(std::initializer_list<std::uint32_t> numbers) {
  std::string bytes;
  for (const std::uint32_t number : numbers) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(number >> shift);
  }
  return bytes;
}

/// Its plugins' ends are played by hand while `plugins_are_deaf_` is set.
class RawPluginTest : public ForwardTest {
 protected:
  explicit RawPluginTest(const wire::Limits& limits = {}) : ForwardTest(limits) {
    plugins_are_deaf_ = true;
  }
  struct RawCall {
    RawEnd* plugin = nullptr;  ///< The connection on which it has come; of the fixture.
    std::uint32_t stream = 0;
  };
  /// The next call that comes to a plugin.  Fails the test, and has no plugin, if none does.
  RawCall next_call() {
    RawCall call;
    run_until(
        [&] {
          for (auto& socket : std::exchange(deaf_plugins_, {})) {
            raw_plugins_.emplace_back(Transport::Socket(std::move(socket)), wire::Role::kServer);
          }
          for (RawEnd& end : raw_plugins_) {
            if (call.stream == 0) call = {&end, end.next_request()};
            end.acknowledge();
          }
          return call.stream != 0;
        },
        "a call at the plugin");
    if (call.stream == 0) call.plugin = nullptr;
    return call;
  }
  /// Until the daemon has read all that this end has written: it answers a ping behind it.
  void wait_read(RawEnd& end) {
    using enum RawEnd::FrameType;
    const std::size_t before = end.count(kPing, plugind::testing::kAck);
    end.write(plugind::testing::frame(kPing, 0, 0, "whatever"));
    run_until([&] { return end.count(kPing, plugind::testing::kAck) > before; },
              "the answer to a ping");
  }

  std::deque<RawEnd> raw_plugins_;
};

}  // namespace plugind::forward::testing
