// Calls that wait behind the bound that a plugin sets on the streams of its connection.
#include <gtest/gtest.h>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/write.hpp>

#include "tests/support/raw_http2.h"
#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

class PlacesTest : public ForwardTest {
 protected:
  PlacesTest() {
    plugin_limits_.max_concurrent_streams = 2;
    serve_ = [this](Peer&, Stream& stream) { open_.push_back(&stream); };
  }
  /// Two calls that take both places.
  void fill() {
    for (int i = 0; i < 2; ++i) host_->request("/test.echo/Do", {}, false);
    run_until([&] { return open_.size() == 2; }, "two calls");
    ASSERT_EQ(open_.size(), 2u);
  }
  void answer(Stream& stream) { plugin().respond(stream, {{"grpc-status", "0"}}, false); }
  std::vector<Stream*> open_;
  std::shared_ptr<Peer> host_;
};

// nghttp2 keeps a request that it has no place for also when it is reset, and with it the call.
TEST_F(PlacesTest, CancelledCallsThatWaitForAPlaceArePiledUpNowhere) {
  auto m = manifest("echo");
  m.calls_max_concurrent = 3;  // So a call that is not gone takes the next one's place.
  apply({m});
  host_ = connect();
  fill();
  for (int i = 0; i < 200; ++i) {
    Stream& call = host_->request("/test.echo/Do");
    host_->send(call, "some of a request");
    run_until([&] { return call.sent > 0; }, "the call to leave");
    run_until([&] { return forwarder_->counters().calls == 3u + i; }, "the daemon to have it");
    ASSERT_FALSE(call.closed) << "call " << i << ": " << call.trailers["grpc-message"];
    host_->reset(call, wire::kCancel);
  }
  Stream& last = host_->request("/test.echo/Do", {}, false);
  answer(*open_[0]);
  run_until([&] { return open_.size() == 3; }, "the last call");
  ASSERT_EQ(open_.size(), 3u);
  EXPECT_EQ(open_[2]->id, 5) << "the plugin has heard of none of the others";
  answer(*open_[2]);
  wait_closed(last);
  EXPECT_EQ(last.trailers["grpc-status"], "0");
}

TEST_F(PlacesTest, AreGivenInTheOrderOfTheCalls) {
  apply({manifest("echo")});
  host_ = connect();
  fill();
  for (int i = 0; i < 6; ++i) {
    host_->request("/test.echo/Do", {{"number", std::to_string(i)}}, false);
  }
  run_until([&] { return forwarder_->counters().calls == 8; }, "the calls");
  for (std::size_t i = 0; i < 6; ++i) {
    answer(*open_[i]);
    run_until([&] { return open_.size() == i + 3; }, "the next one");
    ASSERT_EQ(open_.size(), i + 3);
    EXPECT_EQ(open_[i + 2]->headers["number"], std::to_string(i));
  }
}

TEST_F(PlacesTest, ACallThatWaitsGoesToTheNextConnectionWithItsWholeRequest) {
  apply({manifest("echo")});
  host_ = connect();
  fill();
  // More than is kept of a request that may have to be sent again.
  const std::string body = framed(std::string(200'000, 'x'));
  Stream& call = host_->request("/test.echo/Do");
  host_->send(call, body);
  host_->finish(call);
  run_until([&] { return call.sent == body.size(); }, "the request");
  run_idle();
  plugin().goaway();
  run_until([&] { return open_.size() == 3; }, "the call at the new connection");
  ASSERT_EQ(open_.size(), 3u);
  ASSERT_EQ(plugins_.size(), 2u);
  run_until([&] { return open_[2]->ended; }, "the request's end");
  EXPECT_TRUE(open_[2]->data == body);
  answer(*open_[2]);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
}

TEST_F(PlacesTest, TheDeadlineOfACallThatWaitsSaysWhy) {
  apply({manifest("echo")});
  host_ = connect();
  fill();
  Stream& call = host_->request("/test.echo/Do", {{"grpc-timeout", "20m"}}, false);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "4");
  EXPECT_NE(call.trailers["grpc-message"].find("which takes no more calls at a time"),
            std::string::npos)
      << call.trailers["grpc-message"];
}

TEST_F(PlacesTest, MayBecomeMoreWithoutTheEndOfACall) {
  namespace raw = plugind::testing;
  boost::asio::local::stream_protocol::socket plugin(loop_);
  boost::asio::local::stream_protocol::socket ours(loop_);
  boost::asio::local::connect_pair(plugin, ours);
  const auto core = std::make_shared<UpstreamCore>(queue_, loop_.get_executor(),
                                                   Transport::Socket(std::move(ours)), limits_);
  core->start();
  const auto set_places = [&](char count) {
    boost::asio::write(plugin,
                       boost::asio::buffer(raw::frame(raw::FrameType::kSettings, 0, 0,
                                                      std::string("\0\3\0\0\0", 5) + count)));
  };
  set_places(0);
  run_until([&] { return core->settings_seen(); }, "the settings");
  EXPECT_FALSE(core->has_place());
  int called = 0;
  const auto wait = core->wait_place([&] { ++called; });
  auto given_up = core->wait_place([] { FAIL() << "nobody waits any more"; });
  given_up.reset();
  EXPECT_EQ(called, 0);
  set_places(1);
  run_until([&] { return called == 1; }, "the place");
  EXPECT_TRUE(core->has_place());
  core->close();
}

}  // namespace
}  // namespace plugind::forward::testing
