// By which number a plugin and its log know a call.
#include <gtest/gtest.h>

#include <charconv>

#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

class CallIdsTest : public ForwardTest {
 protected:
  CallIdsTest() {
    serve_ = [this](Peer& plugin, Stream& stream) {
      note(stream);
      plugin.respond(stream);
      plugin.trailers(stream);
    };
  }
  void note(Stream& stream) {
    const std::string id = stream.headers["plugind-call-id"];
    std::uint64_t number = 0;
    const auto end = std::from_chars(id.data(), id.data() + id.size(), number);
    EXPECT_TRUE(end.ec == std::errc() && end.ptr == id.data() + id.size()) << "'" << id << "'";
    ids_.push_back(number);
  }
  std::size_t different() const { return std::set(ids_.begin(), ids_.end()).size(); }
  /// A host that is served by the fixture's own loop.
  std::shared_ptr<Peer> connect_at_home() {
    if (workers_ == 1) return connect();
    // connect() leaves as many connections to each loop; then this one gets the next.
    boost::asio::local::stream_protocol::socket socket(loop_);
    socket.connect({(directory_ / "front.sock").string()});
    return std::make_shared<Peer>(queue_, Transport::Socket(std::move(socket)),
                                  wire::Role::kClient);
  }

  std::vector<std::uint64_t> ids_;
};

TEST_F(CallIdsTest, AreNumbersThatNoOtherCallHas) {
  apply({manifest("one"), manifest("two")});
  const std::vector hosts = {connect(), connect("two"), connect_at_home()};
  for (std::size_t i = 0; i < 5; ++i) {
    for (const auto& host : hosts) {
      Stream& one = host->request("/test.one/Do", {}, false);
      Stream& two = host->request("/test.two/Do", {}, false);
      wait_closed(one);
      wait_closed(two);
      EXPECT_EQ(one.trailers["grpc-status"], "0");
    }
  }
  EXPECT_EQ(ids_.size(), 30u);
  EXPECT_EQ(different(), ids_.size());
}

// They are sent at the same time.
TEST_F(CallIdsTest, OfCallsThatWaitedForAnInstanceDiffer) {
  holds_starts_ = true;
  apply({manifest("echo")});
  const std::vector hosts = {connect(), connect(), connect_at_home()};
  std::vector<Stream*> calls;
  for (const auto& host : hosts) {
    for (int i = 0; i < 5; ++i) calls.push_back(&host->request("/test.echo/Do", {}, false));
  }
  run_until([&] { return supervisor_->status("echo")->calls == calls.size(); }, "the calls");
  release_starts();
  for (Stream* call : calls) wait_closed(*call);
  EXPECT_EQ(ids_.size(), calls.size());
  EXPECT_EQ(different(), ids_.size());
}

// A plugin that has refused a call may have logged it.
TEST_F(CallIdsTest, StayWithACallThatIsSentAgain) {
  serve_ = [this](Peer& plugin, Stream& stream) {
    note(stream);
    if (ids_.size() == 1) return plugin.reset(stream, wire::kRefusedStream);
    plugin.respond(stream);
    if (stream.headers[":path"] == "/test.echo/Other") return;
    plugin.trailers(stream);
  };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do", {}, false);
  Stream& other = host->request("/test.echo/Other", {}, false);
  wait_closed(call);
  run_until([&] { return !other.headers.empty(); }, "the other call");
  ASSERT_EQ(ids_.size(), 3u);
  EXPECT_EQ(ids_[2], ids_[0]);
  EXPECT_NE(ids_[1], ids_[0]);
}

}  // namespace
}  // namespace plugind::forward::testing
