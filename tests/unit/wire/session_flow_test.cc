// Sessions: windows, bounds and backlogs.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/wire/session_pair.h"

namespace plugind::wire::test {
namespace {

Limits small_windows() {
  Limits limits;
  limits.stream_window = 64u << 10;
  limits.connection_window = 256u << 10;
  limits.connection_unconsumed = 0;
  return limits;
}

TEST(SessionFlow, AReaderThatDoesNotConsumeHoldsItsSenderBack) {
  Pair pair(small_windows());
  pair.server.consumes = false;
  const StreamId id = pair.client.request();
  pair.client.send(id, std::string(200'000, 'x'));
  pair.client.finish(id);
  pair.exchange();
  EXPECT_EQ(pair.server.data(id).size(), 64u << 10);
  EXPECT_EQ(pair.client.record(id).sent, 64u << 10);

  pair.server.session.consume(id, 64u << 10);
  pair.exchange();
  EXPECT_EQ(pair.server.data(id).size(), 128u << 10);
  pair.server.session.consume(id, 64u << 10);
  pair.exchange();
  pair.server.session.consume(id, 64u << 10);
  pair.exchange();
  EXPECT_EQ(pair.server.data(id).size(), 200'000u);
  EXPECT_EQ(pair.server.trace(id), "request() end");
}

TEST(SessionFlow, ASlowReaderDoesNotStopTheOthers) {
  Pair pair(small_windows());
  pair.exchange();
  pair.server.consumes = false;
  const StreamId slow = pair.client.request();
  pair.client.send(slow, std::string(200'000, 's'));
  pair.exchange();
  pair.server.consumes = true;
  for (int i = 0; i < 20; ++i) {
    const StreamId fast = pair.client.request();
    pair.client.send(fast, std::string(100'000, 'f'));
    pair.client.finish(fast);
    pair.exchange();
    ASSERT_EQ(pair.server.data(fast).size(), 100'000u) << i;
  }
  EXPECT_EQ(pair.server.data(slow).size(), 64u << 10);
}

// What they hold may be far more than half of the connection's window.  The others then have what
// is left of it, and must get that again and again.
TEST(SessionFlow, SlowReadersDoNotStopTheOthersHoweverLittleTheyLeave) {
  Pair pair(small_windows());
  pair.exchange();
  pair.server.consumes = false;
  std::vector<StreamId> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(pair.client.request());
    pair.client.send(slow.back(), std::string((64 << 10) - 256, 's'));
  }
  pair.exchange();
  pair.server.consumes = true;
  const StreamId fast = pair.client.request();
  pair.client.send(fast, std::string(100'000, 'f'));
  pair.client.finish(fast);
  pair.exchange();
  EXPECT_EQ(pair.server.data(fast).size(), 100'000u);
  // When they read on, the whole window is there again.
  for (const StreamId id : slow) pair.server.session.consume(id, (64 << 10) - 256);
  for (const StreamId id : slow) {
    pair.client.send(id, std::string(200'000, 's'));
    pair.client.finish(id);
  }
  pair.exchange();
  for (const StreamId id : slow) {
    EXPECT_EQ(pair.server.data(id).size(), 200'000u + (64u << 10) - 256);
  }
}

TEST(SessionFlow, NorDoMoreOfThemThanTheConnectionsWindowHolds) {
  Limits limits = small_windows();
  limits.connection_unconsumed = 1u << 20;
  Pair pair(limits);
  pair.exchange();
  pair.server.consumes = false;
  for (int i = 0; i < 12; ++i) {
    pair.client.send(pair.client.request(), std::string(100'000, 's'));
  }
  pair.exchange();
  pair.server.consumes = true;
  for (int i = 0; i < 20; ++i) {
    const StreamId fast = pair.client.request();
    pair.client.send(fast, std::string(100'000, 'f'));
    pair.client.finish(fast);
    pair.exchange();
    ASSERT_EQ(pair.server.data(fast).size(), 100'000u) << i;
  }
}

TEST(SessionFlow, AllStreamsHaveABoundTogether) {
  // Bodies that fill their streams' windows, and some that end anywhere.
  for (const std::size_t size : {100'000u, 60'000u, 4'321u}) {
    SCOPED_TRACE(size);
    Limits limits = small_windows();
    limits.connection_unconsumed = 1u << 20;
    Pair pair(limits);
    pair.exchange();
    pair.server.consumes = false;
    std::vector<StreamId> streams;
    for (int i = 0; i < 300; ++i) {
      streams.push_back(pair.client.request());
      pair.client.send(streams.back(), std::string(size, 's'));
      pair.client.finish(streams.back());
      if (i % 7 == 0) pair.exchange();
    }
    pair.exchange();
    std::size_t arrived = 0;
    for (const StreamId id : streams) arrived += pair.server.data(id).size();
    EXPECT_EQ(arrived, 1u << 20);
    pair.server.consumes = true;
    for (const StreamId id : streams) pair.server.session.consume(id, pair.server.data(id).size());
    pair.exchange();
    for (const StreamId id : streams) EXPECT_EQ(pair.server.data(id).size(), size);
  }
}

// nghttp2 passes on what comes of such a stream until the reset is out.
TEST(SessionFlow, AStreamThatIsSentMoreThanItsWindowIsReset) {
  constexpr std::size_t kSize = 16 << 10;
  Pair pair(small_windows());
  pair.exchange();
  pair.server.consumes = false;
  const StreamId id = pair.client.request();
  pair.exchange();
  const std::string stream = std::string(3, '\0') + static_cast<char>(id);
  const std::string data = std::string("\0\x40\0\0\0", 5) + stream + std::string(kSize, 'x');
  const std::string reset = std::string("\0\0\4\3\0", 5) + stream + std::string("\0\0\0\3", 4);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(give(pair.server.session, data));
  EXPECT_NE(take_output(pair.server.session).find(reset), std::string::npos);
  EXPECT_TRUE(pair.server.record(id).is_closed);
  const std::size_t arrived = pair.server.data(id).size();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(give(pair.server.session, data));
  EXPECT_EQ(pair.server.data(id).size(), arrived);
}

// What leaks of the connection's window adds up: 10 KB a call would stop a 256 KiB window at
// call 26.
TEST(SessionFlow, BytesConsumedAfterTheStreamHasClosedReopenTheConnectionsWindow) {
  Pair pair(small_windows());
  pair.server.consumes = false;
  for (int i = 0; i < 200; ++i) {
    const StreamId id = pair.client.request();
    pair.client.send(id, std::string(10'000, 'x'));
    pair.client.finish(id);
    pair.exchange();
    ASSERT_EQ(pair.server.data(id).size(), 10'000u) << i;
    pair.server.respond(id);
    pair.server.finish_with_status(id, "0");
    pair.exchange();
    ASSERT_TRUE(pair.server.record(id).is_closed);
    pair.server.session.consume(id, 10'000);
  }
}

TEST(SessionFlow, SoDoBytesOfAStreamThatWasReset) {
  Pair pair(small_windows());
  pair.server.consumes = false;
  for (int i = 0; i < 200; ++i) {
    const StreamId id = pair.client.request();
    pair.client.send(id, std::string(10'000, 'x'));
    pair.exchange();
    ASSERT_EQ(pair.server.data(id).size(), 10'000u) << i;
    pair.client.session.reset(id, kCancel);
    pair.exchange();
    ASSERT_TRUE(pair.server.record(id).is_closed);
    pair.server.session.consume(id, 10'000);
  }
}

// The bytes are on their way when the server resets; nobody will ever see them to consume them.
TEST(SessionFlow, SoDoBytesThatArriveAfterTheReset) {
  Pair pair(small_windows());
  for (int i = 0; i < 200; ++i) {
    const StreamId id = pair.client.request();
    pair.exchange();
    pair.client.send(id, std::string(10'000, 'x'));
    const std::string in_flight = take_output(pair.client.session);
    ASSERT_GT(in_flight.size(), 10'000u) << i;
    pair.server.session.reset(id, kCancel);
    const std::string reset = take_output(pair.server.session);
    ASSERT_TRUE(give(pair.server.session, in_flight));
    ASSERT_TRUE(give(pair.client.session, reset));
    pair.exchange();
    ASSERT_TRUE(pair.client.record(id).is_closed);
  }
}

TEST(SessionFlow, TheOutputIsBoundedHoweverMuchIsToBeSent) {
  Limits limits;
  limits.output_high_water = 100'000;
  Pair pair({}, limits);
  pair.exchange();
  const StreamId id = pair.client.request();
  pair.client.send(id, std::string(900'000, 'x'));
  ASSERT_TRUE(pair.client.session.pull());
  // At most one frame more than the bound.
  EXPECT_LE(pair.client.session.output().size(), 100'000u + (64u << 10) + 9);
  EXPECT_GE(pair.client.session.output().size(), 100'000u);
  pair.exchange();
  EXPECT_EQ(pair.server.data(id).size(), 900'000u);
}

TEST(SessionFlow, AHeaderBlockOverTheBoundIsRefusedAndTheConnectionGoesOn) {
  Limits limits;
  limits.max_header_block = 4'096;
  Pair pair(limits);
  pair.exchange();
  const StreamId id = pair.client.request({{"x-big", std::string(5'000, 'v')}, {"x-after", "a"}});
  pair.exchange();
  EXPECT_EQ(pair.server.trace(id), "too-large");
  HeaderList headers;
  headers.add(":status", "200");
  headers.add("grpc-status", "8");
  EXPECT_TRUE(pair.server.session.submit_response(id, headers, nullptr));
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "response(:status=200,grpc-status=8,end) closed(0)");

  const StreamId next = pair.client.request({{"x-after", "a"}}, false);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(next), "request(x-after=a,end)");
}

TEST(SessionFlow, AHeaderBlockOfExactlyTheBoundArrives) {
  Limits limits;
  limits.max_header_block = 1'000;
  Pair pair(limits);
  pair.exchange();
  // :method POST, :scheme http, :path /a.B/C and :authority localhost with 32 each.
  const std::size_t fixed = (7 + 4) + (7 + 4) + (5 + 6) + (10 + 9) + 4 * 32;
  const StreamId exact =
      pair.client.request({{"x", std::string(1'000 - fixed - 1 - 32, 'v')}}, false);
  const StreamId over = pair.client.request({{"x", std::string(1'000 - fixed - 32, 'v')}}, false);
  pair.exchange();
  EXPECT_TRUE(pair.server.trace(exact).starts_with("request(x=v"));
  EXPECT_EQ(pair.server.trace(over), "too-large");
}

TEST(SessionFlow, TrailersOverTheBoundAreReported) {
  Limits limits;
  limits.max_header_block = 4'096;
  Pair pair({}, limits);
  const StreamId id = pair.client.request();
  pair.client.finish(id);
  pair.exchange();
  pair.server.respond(id);
  pair.server.record(id).trailers.add("x-big", std::string(5'000, 'v'));
  pair.server.finish_with_status(id, "0");
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "response(:status=200) too-large closed(0)");
}

TEST(SessionFlow, MoreThanAHundredStreamsBeforeSettingsAllRun) {
  Pair pair;
  EXPECT_EQ(pair.client.session.peer_max_concurrent_streams(), 100u);
  std::vector<StreamId> ids;
  for (int i = 0; i < 250; ++i) {
    const StreamId id = pair.client.request();
    ASSERT_GT(id, 0);
    pair.client.send(id, std::to_string(i));
    pair.client.finish(id);
    ids.push_back(id);
  }
  EXPECT_EQ(pair.client.session.open_streams(), 250u);
  const std::string first = take_output(pair.client.session);
  ASSERT_TRUE(give(pair.server.session, first));
  EXPECT_EQ(pair.server.opened.size(), 100u);
  pair.exchange();
  EXPECT_EQ(pair.server.opened.size(), 250u);
  EXPECT_EQ(pair.client.session.peer_max_concurrent_streams(), 1024u);
  for (int i = 0; i < 250; ++i) EXPECT_EQ(pair.server.data(ids[i]), std::to_string(i));
}

TEST(SessionFlow, StreamsOverThePeersLimitWaitForOthersToEnd) {
  Limits limits;
  limits.max_concurrent_streams = 2;
  Pair pair(limits);
  pair.exchange();
  std::vector<StreamId> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(pair.client.request({}, false));
  pair.exchange();
  EXPECT_EQ(pair.server.opened.size(), 2u);
  for (int i = 0; i < 5; ++i) {
    ASSERT_GT(pair.server.opened.size(), static_cast<std::size_t>(i));
    pair.server.respond(pair.server.opened[i]);
    pair.server.finish_with_status(pair.server.opened[i], "0");
    pair.exchange();
  }
  EXPECT_EQ(pair.server.opened, ids);
}

TEST(SessionFlow, AStreamThatStillWaitsMayBeReset) {
  Limits limits;
  limits.max_concurrent_streams = 1;
  Pair pair(limits);
  pair.exchange();
  const StreamId running = pair.client.request({}, false);
  const StreamId waiting = pair.client.request();
  pair.client.send(waiting, "x");
  pair.exchange();
  pair.client.session.reset(waiting, kCancel);
  pair.exchange();
  pair.server.respond(running);
  pair.server.finish_with_status(running, "0");
  pair.exchange();
  EXPECT_EQ(pair.client.trace(waiting), "closed(8)");
  EXPECT_EQ(pair.server.opened, std::vector{running});
  EXPECT_EQ(pair.client.session.open_streams(), 0u);
}

TEST(SessionFlow, ThousandsOfCancellationsAreNotAnAttack) {
  Pair pair;
  pair.exchange();
  for (int i = 0; i < 5'000; ++i) {
    const StreamId id = pair.client.request();
    pair.exchange();
    pair.client.session.reset(id, kCancel);
    pair.exchange();
    ASSERT_TRUE(pair.server.record(id).is_closed) << i;
  }
  EXPECT_EQ(pair.client.connection_trace, "settings");
}

}  // namespace
}  // namespace plugind::wire::test
