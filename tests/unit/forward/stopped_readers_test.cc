// A call whose reader stops: what the daemon takes of it is bounded by windows and buffers, and
// others go on.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <csignal>

#include "tests/support/raw_http2.h"
#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

constexpr std::size_t kWindow = 65'535;
// The largest frame that a peer takes which says nothing of it, with its header: so far the output
// may be over its bound.
constexpr std::size_t kFrame = 9 + (16 << 10);

class StoppedReadersTest : public ForwardTest {
 protected:
  static wire::Limits limits() {
    wire::Limits limits;
    limits.stream_window = kWindow;
    limits.connection_window = 16 << 20;
    limits.output_high_water = 32 << 10;
    return limits;
  }
  StoppedReadersTest() : ForwardTest(limits()) {}

  static void answer(Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, framed("ok"));
    plugin.trailers(stream);
  }
  /// Calls that are answered while the reader has stopped.
  void others_go_on(Peer& host, const std::string& path) {
    for (int i = 0; i < 200; ++i) {
      Stream& quick = host.request(path, {}, false);
      wait_closed(quick);
      ASSERT_EQ(quick.data, framed("ok"));
      if (!host.reads_by_itself) host.consume(quick, quick.unconsumed);
    }
  }
  Stream& first_seen() { return *plugin().streams.begin()->second; }
  /// What the kernel holds for plugins that read nothing.
  std::size_t unread() const {
    std::size_t size = 0;
    for (const auto& socket : deaf_plugins_) size += socket.available();
    return size;
  }

  const std::string flood_ = std::string(8 << 20, 'z');
};

// -- a reader that keeps its window closed ----------------------------------------------------

TEST_F(StoppedReadersTest, AHostHoldsItsOwnStreamOnly) {
  serve_ = [&](Peer& plugin, Stream& stream) {
    if (stream.headers[":path"] != "/test.echo/Flood") return answer(plugin, stream);
    plugin.respond(stream);
    plugin.send(stream, flood_);
  };
  apply({manifest("echo")});
  const auto host = connect("", limits_);
  host->reads_by_itself = false;
  Stream& slow = host->request("/test.echo/Flood", {}, false);
  run_until([&] { return slow.data.size() == kWindow; }, "the host's window to be full");
  others_go_on(*host, "/test.echo/Quick");
  // The host's window, and what the daemon's own lets the plugin send beyond it.
  EXPECT_LE(first_seen().sent, kWindow + kWindow);
  // It goes on when the reader does.
  host->on_data_hook = [&](Stream& stream) { host->consume(stream, stream.unconsumed); };
  host->consume(slow, slow.unconsumed);
  run_until([&] { return slow.data.size() == flood_.size(); }, "the rest");
}

TEST_F(StoppedReadersTest, APluginHoldsItsOwnStreamOnly) {
  serve_ = [&](Peer& plugin, Stream& stream) {
    plugin.reads_by_itself = false;
    if (stream.headers[":path"] != "/test.echo/Upload") answer(plugin, stream);
  };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& upload = host->request("/test.echo/Upload");
  host->send(upload, flood_);
  run_until([&] { return !plugins_.empty() && !plugin().streams.empty(); }, "the call");
  Stream& seen = first_seen();
  run_until([&] { return seen.data.size() == kWindow; }, "the plugin's window to be full");
  others_go_on(*host, "/test.echo/Quick");
  EXPECT_LE(upload.sent, kWindow + kWindow);
  plugin().on_data_hook = [&](Stream& stream) { plugin().consume(stream, stream.unconsumed); };
  plugin().consume(seen, seen.unconsumed);
  run_until([&] { return seen.data.size() == flood_.size(); }, "the rest");
}

// -- many of them ------------------------------------------------------------------------------

// More than a connection's window has room for.
constexpr std::size_t kMany = 40;

/// With the daemon's usual windows.  Those of the other ends never close for a connection, so that
/// what stands still stands in the daemon.
class ManyStoppedReadersTest : public ForwardTest {
 protected:
  ManyStoppedReadersTest() { plugin_limits_ = wide_connection(); }
  static wire::Limits wide_connection() {
    wire::Limits limits;
    limits.connection_window = 256 << 20;
    return limits;
  }
  static wire::Limits narrow() {
    wire::Limits limits = wide_connection();
    limits.stream_window = 1'000;
    return limits;
  }
  static std::string large_of(char seed) { return framed(std::string(3 << 20, seed)); }
  bool is_full(const Stream& stream) const { return stream.sent == limits_.stream_window; }

  const std::string flood_ = std::string(2 << 20, 'z');
};

TEST_F(ManyStoppedReadersTest, OfRepliesLeaveRoomForOthers) {
  ASSERT_GT(kMany * limits_.stream_window, limits_.connection_window);
  std::vector<Stream*> floods;
  serve_ = [&](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    if (stream.headers[":path"] == "/test.echo/Flood") {
      floods.push_back(&stream);
      plugin.send(stream, flood_);
    } else {
      plugin.send(stream, stream.headers[":path"] == "/test.echo/Large" ? large_of('r') : "ok");
    }
    plugin.trailers(stream);
  };
  apply({manifest("echo")});
  const auto host = connect("", narrow());
  host->reads_by_itself = false;
  std::vector<Stream*> slow;
  for (std::size_t i = 0; i < kMany; ++i) {
    slow.push_back(&host->request("/test.echo/Flood", {}, false));
  }
  run_until(
      [&] {
        return floods.size() == kMany &&
               std::ranges::all_of(floods, [&](Stream* flood) { return is_full(*flood); });
      },
      "the daemon's windows to be full");
  ASSERT_FALSE(HasFatalFailure());
  // Both share the connection to the plugin with them, and the first one that to the host as well.
  host->on_data_hook = [&](Stream& more) {
    if (std::ranges::find(slow, &more) == slow.end()) host->consume(more, more.unconsumed);
  };
  const auto other = connect();
  for (const auto& from : {host, other}) {
    for (const char* path : {"/test.echo/Quick", "/test.echo/Large", "/test.echo/Quick"}) {
      Stream& call = from->request(path, {}, false);
      wait_closed(call);
      ASSERT_FALSE(HasFatalFailure()) << path;
      EXPECT_TRUE(call.data == (std::string_view(path).ends_with("Large") ? large_of('r') : "ok"));
    }
  }
  for (const Stream* call : slow) EXPECT_EQ(call->data.size(), 1'000u);
  host->on_data_hook = [&](Stream& more) { host->consume(more, more.unconsumed); };
  for (Stream* call : slow) host->consume(*call, call->unconsumed);
  for (Stream* call : slow) {
    wait_closed(*call);
    EXPECT_EQ(call->data.size(), flood_.size());
  }
}

TEST_F(ManyStoppedReadersTest, OfRequestsLeaveRoomForOthers) {
  plugin_limits_ = narrow();
  std::vector<Stream*> held;
  bool holds = true;
  serve_ = [&](Peer& plugin, Stream& stream) {
    plugin.reads_by_itself = false;
    if (stream.headers[":path"] == "/test.echo/Upload") held.push_back(&stream);
    plugin.on_data_hook = [&](Stream& more) {
      if (holds && std::ranges::find(held, &more) != held.end()) return;
      plugin.consume(more, more.unconsumed);
    };
    plugin.on_ended = [&](Stream& ended) {
      plugin.respond(ended);
      plugin.send(ended, std::to_string(ended.data.size()));
      plugin.trailers(ended);
    };
  };
  apply({manifest("echo")});
  const auto host = connect();
  std::vector<Stream*> slow;
  for (std::size_t i = 0; i < kMany; ++i) {
    slow.push_back(&host->request("/test.echo/Upload"));
    host->send(*slow.back(), flood_);
    host->finish(*slow.back());
  }
  run_until(
      [&] {
        return held.size() == kMany &&
               std::ranges::all_of(slow, [&](Stream* call) { return is_full(*call); });
      },
      "the daemon's windows to be full");
  ASSERT_FALSE(HasFatalFailure());
  const auto other = connect();
  for (const auto& from : {host, other}) {
    for (const std::string& request : {framed("ok"), large_of('q'), framed("ok")}) {
      Stream& call = from->request("/test.echo/Do");
      from->send(call, request);
      from->finish(call);
      wait_closed(call);
      ASSERT_FALSE(HasFatalFailure()) << request.size();
      EXPECT_EQ(call.data, std::to_string(request.size()));
    }
  }
  for (const Stream* call : held) EXPECT_EQ(call->data.size(), 1'000u);
  holds = false;
  for (Stream* call : held) plugin().consume(*call, call->unconsumed);
  for (Stream* call : slow) {
    wait_closed(*call);
    EXPECT_EQ(call->data, std::to_string(flood_.size()));
  }
}

// -- a reader that reads nothing, whose windows are wide open ---------------------------------

// Then there is, beside the daemon's own window, what it has moved to the connection's output and
// the kernel has not taken.
constexpr std::size_t held_at_most(const wire::Limits& limits) {
  return kWindow + limits.output_high_water + kFrame;
}

TEST_F(StoppedReadersTest, AHostsConnectionHoldsItsOutputOnly) {
  namespace raw = plugind::testing;
  serve_ = [&](Peer& plugin, Stream& stream) {
    if (stream.headers[":path"] != "/test.echo/Flood") return answer(plugin, stream);
    plugin.respond(stream);
    plugin.send(stream, flood_);
  };
  apply({manifest("echo")});
  const auto other = connect();
  auto host = connect_raw();
  boost::asio::write(
      host,
      boost::asio::buffer(raw::http2_preface() + wide_greeting() +
                          raw::frame(raw::FrameType::kHeaders, raw::kEndHeaders | raw::kEndStream,
                                     1, raw::header_block(raw::grpc_headers("/test.echo/Flood")))));
  run_until([&] { return !plugins_.empty() && !plugin().streams.empty(); }, "the call");
  Stream& flooding = first_seen();
  run_until([&] { return host.available() > kWindow; }, "the flood");
  others_go_on(*other, "/test.echo/Quick");
  EXPECT_LE(flooding.sent - host.available(), held_at_most(limits_));
  host.non_blocking(true);
  std::size_t size = 0;
  run_until(
      [&] {
        char buffer[64 << 10];
        boost::system::error_code ec;
        size += host.read_some(boost::asio::buffer(buffer), ec);
        return size > flood_.size();
      },
      "the rest");
}

TEST_F(StoppedReadersTest, APluginsConnectionHoldsItsOutputOnly) {
  serve_ = answer;
  plugins_are_deaf_ = true;
  apply({manifest("deaf"), manifest("echo")});
  const auto host = connect();
  Stream& upload = host->request("/test.deaf/Upload");
  host->send(upload, flood_);
  run_until([&] { return unread() > kWindow; }, "the upload");
  plugins_are_deaf_ = false;
  others_go_on(*host, "/test.echo/Quick");
  EXPECT_LE(upload.sent - unread(), held_at_most(limits_));
  // What the kernel does when it dies; nothing else would end the upload.
  deaf_plugins_.clear();
  processes_.spawned.front()->die(SIGKILL);
  wait_closed(upload);
  EXPECT_EQ(upload.trailers["grpc-status"], "14");
}

}  // namespace
}  // namespace plugind::forward::testing
