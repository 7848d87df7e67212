// A connection by itself: when its loop has something to do.
#include "daemon/forward/transport.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <memory>
#include <string>

#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;

/// Two ends, each with a loop of its own.
class TransportTest : public ::testing::Test {
 protected:
  TransportTest() {
    Local::socket ours(loop_);
    Local::socket theirs(peer_loop_);
    asio::local::connect_pair(ours, theirs);
    us_ = std::make_shared<Peer>(queue_, Transport::Socket(std::move(ours)), wire::Role::kClient,
                                 wide());
    peer_ = std::make_shared<Peer>(peer_queue_, Transport::Socket(std::move(theirs)),
                                   wire::Role::kServer, wide());
    settle();
  }
  ~TransportTest() override {
    us_->close();
    peer_->close();
    settle();
  }

  static wire::Limits wide() {
    wire::Limits limits;
    limits.stream_window = limits.connection_window = 16 << 20;
    return limits;
  }

  /// What our loop has to do until neither has anything to do.
  std::size_t settle() {
    std::size_t ours = 0;
    std::size_t done = 1;
    while (done > 0) {
      loop_.restart();
      const std::size_t of_us = loop_.poll();
      peer_loop_.restart();
      done = of_us + peer_loop_.poll();
      ours += of_us;
    }
    return ours;
  }

  /// The same when the peer has sent a few bytes.
  std::size_t settle_after_a_message() {
    peer_->send(peers_stream(), "some bytes");
    return settle();
  }

  Stream& peers_stream() { return *peer_->streams.begin()->second; }

  asio::io_context loop_{1};
  asio::io_context peer_loop_{1};
  FlushQueue queue_{loop_.get_executor()};
  FlushQueue peer_queue_{peer_loop_.get_executor()};
  std::shared_ptr<Peer> us_;
  std::shared_ptr<Peer> peer_;
};

TEST_F(TransportTest, HasNoMoreToDoForAMessageAfterItHasOnceWaitedForRoom) {
  Stream& stream = us_->request("/test.echo/Chat");
  settle();
  peer_->respond(peers_stream());
  settle();
  const std::size_t before = settle_after_a_message();

  const std::string much(4 << 20, 'x');  // More than the sockets hold.
  us_->send(stream, much);
  loop_.restart();
  loop_.poll();
  ASSERT_LT(us_->transport().written_total(), much.size()) << "it has not waited";
  settle();
  ASSERT_EQ(peers_stream().data.size(), much.size());

  for (int i = 0; i < 20; ++i) settle_after_a_message();
  EXPECT_EQ(settle_after_a_message(), before);

  // It can do so again.
  us_->send(stream, much);
  settle();
  EXPECT_EQ(peers_stream().data.size(), 2 * much.size());
  EXPECT_EQ(stream.data.size(), 22 * std::string("some bytes").size());
}

}  // namespace
}  // namespace plugind::forward::testing
