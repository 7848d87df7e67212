// Sessions: resets, GOAWAY, and peers that do not speak HTTP/2.
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "tests/unit/wire/session_pair.h"

namespace plugind::wire::test {
namespace {

TEST(SessionEnd, AClientsResetReachesTheServer) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.exchange();
  pair.client.session.reset(id, kCancel);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(id), "request() closed(8)");
  EXPECT_EQ(pair.client.trace(id), "closed(8)");
}

// A RST_STREAM of a stream that the server has not heard of would end the connection.
TEST(SessionEnd, ARequestThatHasNotLeftMayBeResetTwice) {
  Pair pair;
  pair.exchange();
  const StreamId unsent = pair.client.request();
  pair.client.session.reset(unsent, kCancel);
  pair.client.session.reset(unsent, kCancel);
  const StreamId other = pair.client.request({}, false);
  pair.exchange();
  EXPECT_STREQ(pair.server.session.error(), "");
  EXPECT_EQ(pair.client.trace(unsent), "closed(8)");
  EXPECT_EQ(pair.server.opened, std::vector{other});
}

TEST(SessionEnd, AServersResetBeforeItsResponseReachesTheClient) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.exchange();
  pair.server.session.reset(id, kRefusedStream);
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "closed(7)");
}

TEST(SessionEnd, AResetBeforeTheTrailersDropsThem) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.exchange();
  pair.server.respond(id);
  pair.server.send(id, "x");
  pair.exchange();
  pair.server.session.reset(id, kInternalError);
  pair.server.finish_with_status(id, "0");
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "response(:status=200) closed(2)");
}

// The peer has more to send when the server has already answered: trailers first, then the reset.
TEST(SessionEnd, TrailersComeBeforeTheResetThatEndsAnUnfinishedRequest) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.client.send(id, "some");
  pair.exchange();
  pair.server.respond(id);
  pair.server.finish_with_status(id, "8");
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "response(:status=200) trailers(grpc-status=8,end) closed(0)");
  EXPECT_TRUE(pair.server.record(id).is_closed);
}

TEST(SessionEnd, SoDoesATrailersOnlyAnswer) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.client.send(id, "some");
  pair.exchange();
  HeaderList headers;
  headers.add(":status", "200");
  headers.add("grpc-status", "8");
  pair.server.session.submit_response(id, headers, nullptr);
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "response(:status=200,grpc-status=8,end) closed(0)");
}

TEST(SessionEnd, AResetAfterTheEndIsHarmless) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.client.finish(id);
  pair.exchange();
  pair.server.respond(id);
  pair.server.finish_with_status(id, "0");
  pair.exchange();
  pair.client.session.reset(id, kCancel);
  pair.server.session.reset(id, kCancel);
  pair.exchange();
  const StreamId next = pair.client.request({}, false);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(next), "request(end)");
}

TEST(SessionEnd, AGoawayLetsOpenStreamsEndAndRefusesLaterOnes) {
  Pair pair;
  const StreamId running = pair.client.request({}, false);
  pair.exchange();
  pair.server.session.submit_goaway();
  const std::string goaway = take_output(pair.server.session);
  const StreamId late = pair.client.request({}, false);
  ASSERT_TRUE(give(pair.server.session, take_output(pair.client.session)));
  ASSERT_TRUE(give(pair.client.session, goaway));
  pair.exchange();
  EXPECT_EQ(pair.client.connection_trace, "settings goaway(1,0)");
  EXPECT_EQ(pair.client.trace(late), "closed(7)");
  EXPECT_EQ(pair.server.opened, std::vector{running});
  EXPECT_EQ(pair.client.request({}, false), -1);

  pair.server.respond(running);
  pair.server.finish_with_status(running, "0");
  pair.exchange();
  EXPECT_EQ(pair.client.trace(running),
            "response(:status=200) trailers(grpc-status=0,end) closed(0)");
  EXPECT_EQ(pair.client.session.open_streams(), 0u);
}

// The client is told that the server has not touched it and may send it again, to somebody else; so
// the server must not.
TEST(SessionEnd, AStreamThatComesBeforeTheGoawayHasLeftIsRefused) {
  Pair pair;
  pair.exchange();
  pair.server.session.submit_goaway();
  const StreamId id = pair.client.request();
  pair.client.send(id, "some");
  pair.client.finish(id);
  ASSERT_TRUE(give(pair.server.session, take_output(pair.client.session)));
  EXPECT_TRUE(pair.server.opened.empty());
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "closed(7)");
  EXPECT_TRUE(pair.server.opened.empty());
}

// A GOAWAY that allows more than the one before is an error of the connection (RFC 9113 6.8).
TEST(SessionEnd, AGoawayIsNotTakenBackByALaterOne) {
  Pair pair;
  pair.exchange();
  pair.server.session.submit_goaway();
  pair.client.request();
  ASSERT_TRUE(give(pair.server.session, take_output(pair.client.session)));
  pair.server.session.submit_goaway();
  pair.server.session.submit_goaway_notice();
  pair.exchange();
  EXPECT_STREQ(pair.client.session.error(), "");
  EXPECT_EQ(pair.client.trace(1), "closed(7)");
}

TEST(SessionEnd, StreamsThatWaitForTheirTurnAreRefusedByAGoaway) {
  Limits limits;
  limits.max_concurrent_streams = 1;
  Pair pair(limits);
  pair.exchange();
  const StreamId running = pair.client.request({}, false);
  const StreamId waiting = pair.client.request({}, false);
  pair.exchange();
  pair.server.session.submit_goaway();
  pair.exchange();
  pair.server.respond(running);
  pair.server.finish_with_status(running, "0");
  pair.exchange();
  EXPECT_EQ(pair.client.trace(waiting), "closed(7)");
  EXPECT_EQ(pair.client.session.open_streams(), 0u);
}

TEST(SessionEnd, RequestsThatHaveNotMovedToTheOutputAreRefusedByAGoaway) {
  Pair pair;
  pair.exchange();
  pair.server.session.submit_goaway();
  const std::string goaway = take_output(pair.server.session);
  const StreamId unsent = pair.client.request();
  ASSERT_TRUE(give(pair.client.session, goaway));
  pair.exchange();
  EXPECT_EQ(pair.client.trace(unsent), "closed(7)");
}

// grpc-go's client names a stream of its own.
TEST(SessionEnd, AClientsGoodbyeIsNoErrorWhateverStreamItNames) {
  Pair pair;
  pair.client.request();
  pair.exchange();
  const std::string goodbye("\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0", 17);
  give(pair.server.session, goodbye);
  take_output(pair.server.session);
  EXPECT_STREQ(pair.server.session.error(), "");
  EXPECT_TRUE(pair.server.session.is_finished());
}

TEST(SessionEnd, AfterTheNoticeStreamsOnTheirWayAreStillServed) {
  Pair pair;
  pair.exchange();
  pair.server.session.submit_goaway_notice();
  const std::string notice = take_output(pair.server.session);
  const StreamId late = pair.client.request({}, false);
  ASSERT_TRUE(give(pair.server.session, take_output(pair.client.session)));
  ASSERT_TRUE(give(pair.client.session, notice));
  EXPECT_EQ(pair.client.connection_trace, "settings goaway(2147483647,0)");
  pair.server.respond(late);
  pair.server.finish_with_status(late, "0");
  pair.exchange();
  EXPECT_TRUE(pair.client.record(late).is_closed);
  EXPECT_EQ(pair.client.request({}, false), -1);
}

std::string ping_frame(bool is_answer) {
  return std::string("\0\0\x08\x06", 4) + (is_answer ? '\x01' : '\0') + std::string("\0\0\0\0", 4) +
         "12345678";
}

Limits holding_pings() {
  Limits limits;
  limits.holds_pings = true;
  return limits;
}

TEST(SessionEnd, PingsAreAnsweredAtOnceOrWhenAsked) {
  const std::string ping = ping_frame(false);
  const std::string answer = ping_frame(true);
  Pair pair({}, holding_pings());
  pair.exchange();
  ASSERT_TRUE(give(pair.server.session, ping));
  EXPECT_EQ(take_output(pair.server.session), answer);

  ASSERT_TRUE(give(pair.client.session, ping));
  EXPECT_TRUE(pair.client.session.has_pings());
  EXPECT_EQ(take_output(pair.client.session), "");
  pair.client.session.answer_pings();
  EXPECT_FALSE(pair.client.session.has_pings());
  EXPECT_EQ(take_output(pair.client.session), answer);
  EXPECT_TRUE(give(pair.client.session, answer));  // What answers is not answered.
  EXPECT_FALSE(pair.client.session.has_pings());
}

// A peer that pings without end costs no memory.
TEST(SessionEnd, TooManyPingsAreAnsweredUnasked) {
  const std::string ping = ping_frame(false);
  Pair pair({}, holding_pings());
  pair.exchange();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(give(pair.client.session, ping));
  const std::size_t unasked = take_output(pair.client.session).size();
  EXPECT_GT(unasked, 80 * ping.size());
  pair.client.session.answer_pings();
  EXPECT_EQ(unasked + take_output(pair.client.session).size(), 100 * ping.size());
}

TEST(SessionEnd, TerminateFinishesTheSession) {
  Pair pair;
  pair.exchange();
  pair.server.session.terminate(kEnhanceYourCalm);
  pair.exchange();
  EXPECT_EQ(pair.client.connection_trace, "settings goaway(0,11)");
  EXPECT_TRUE(pair.server.session.is_finished());
}

TEST(SessionEnd, ASessionMayGoWhileStreamsAreOpen) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.client.send(id, std::string(300'000, 'x'));
  pair.exchange();
  pair.server.respond(id);
  pair.server.send(id, "half");
  // Both are destroyed here; a sanitizer would tell what they leave behind.
}

// True when the session noticed that it is not spoken to in HTTP/2.
bool gives_up(Session& session, std::string_view bytes) {
  if (!give(session, bytes)) return true;
  take_output(session);
  return session.is_finished();
}

TEST(SessionEnd, APeerThatSpeaksSomethingElseIsNoticed) {
  for (const char* text : {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "220 mail.example.org ESMTP\r\n",
                           "HTTP/1.1 400 Bad Request\r\n\r\n"}) {
    End server(Role::kServer);
    EXPECT_TRUE(gives_up(server.session, text)) << text;
    End client(Role::kClient);
    take_output(client.session);
    EXPECT_TRUE(gives_up(client.session, text)) << text;
  }
}

TEST(SessionEnd, BrokenFramesEndTheSessionAndNothingElse) {
  // A conversation worth breaking.
  Pair pair;
  const StreamId id = pair.client.request({{"x", "y"}});
  pair.client.send(id, std::string(1'000, 'x'));
  pair.client.finish(id);
  const std::string good = take_output(pair.client.session);
  std::mt19937 random(1);
  int noticed = 0;
  for (int round = 0; round < 2'000; ++round) {
    std::string bad = good;
    for (int i = 0; i < 3; ++i) bad[random() % 120] = static_cast<char>(random());
    End server(Role::kServer);
    if (gives_up(server.session, bad)) ++noticed;
  }
  EXPECT_GT(noticed, 1'000);
}

TEST(SessionEnd, ASessionThatEndsBecauseOfThePeerSaysWhy) {
  Pair pair;
  pair.exchange();
  // SETTINGS of 5 bytes.
  ASSERT_TRUE(give(pair.server.session, std::string_view("\0\0\5\4\0\0\0\0\0abcde", 14)));
  take_output(pair.server.session);
  EXPECT_TRUE(pair.server.session.is_finished());
  EXPECT_STREQ(pair.server.session.error(), "FRAME_SIZE_ERROR");
  pair.client.session.terminate(kNoError);
  pair.exchange();
  EXPECT_STREQ(pair.client.session.error(), "");
}

TEST(SessionEnd, ASessionThatHasGivenUpSaysSoEachTime) {
  End server(Role::kServer);
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(give(server.session, "nonsense, nonsense, nonsense"));
    take_output(server.session);
  }
  EXPECT_NE(std::string(server.session.error()), "");
}

}  // namespace
}  // namespace plugind::wire::test
