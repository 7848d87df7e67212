// Sessions: every kind of call, and what of it must arrive as it was sent.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/wire/session_pair.h"

namespace plugind::wire::test {
namespace {

TEST(SessionCalls, Unary) {
  Pair pair;
  const StreamId id = pair.client.request({{"te", "trailers"}});
  pair.client.send(id, "hello");
  pair.client.finish(id);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(id), "request(te=trailers) end");
  EXPECT_EQ(pair.server.data(id), "hello");
  pair.server.respond(id);
  pair.server.send(id, "world!");
  pair.server.finish_with_status(id, "0");
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "response(:status=200) trailers(grpc-status=0,end) closed(0)");
  EXPECT_EQ(pair.client.data(id), "world!");
  EXPECT_EQ(pair.client.record(id).sent, 5u);
  EXPECT_EQ(pair.server.record(id).sent, 6u);
  EXPECT_TRUE(pair.server.record(id).is_closed);
  EXPECT_EQ(pair.client.session.open_streams(), 0u);
  EXPECT_EQ(pair.client.connection_trace, "settings");
  EXPECT_EQ(pair.server.connection_trace, "settings");
}

TEST(SessionCalls, ServerStreaming) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.client.finish(id);
  pair.exchange();
  pair.server.respond(id);
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    expected += std::to_string(i);
    pair.server.send(id, std::to_string(i));
    pair.exchange();
    EXPECT_EQ(pair.client.data(id), expected);
  }
  pair.server.finish_with_status(id, "0");
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "response(:status=200) trailers(grpc-status=0,end) closed(0)");
}

TEST(SessionCalls, ClientStreaming) {
  Pair pair;
  const StreamId id = pair.client.request();
  for (int i = 0; i < 20; ++i) {
    pair.client.send(id, "piece");
    pair.exchange();
  }
  EXPECT_EQ(pair.server.data(id).size(), 100u);
  EXPECT_EQ(pair.server.trace(id), "request()");
  pair.client.finish(id);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(id), "request() end");
  pair.server.respond(id);
  pair.server.finish_with_status(id, "0");
  pair.exchange();
  EXPECT_TRUE(pair.client.record(id).is_closed);
}

TEST(SessionCalls, BidirectionalAndInterleaved) {
  Pair pair;
  const StreamId a = pair.client.request();
  const StreamId b = pair.client.request();
  pair.exchange();
  pair.server.respond(a);
  pair.server.respond(b);
  for (int i = 0; i < 20; ++i) {
    pair.client.send(a, "a");
    pair.client.send(b, "b");
    pair.exchange();
    pair.server.send(a, "A");
    pair.server.send(b, "B");
    pair.exchange();
    EXPECT_EQ(pair.client.data(a), std::string(i + 1, 'A'));
    EXPECT_EQ(pair.server.data(b), std::string(i + 1, 'b'));
  }
  pair.server.finish_with_status(a, "0");
  pair.client.finish(a);
  pair.exchange();
  EXPECT_TRUE(pair.client.record(a).is_closed);
  EXPECT_FALSE(pair.client.record(b).is_closed);
  EXPECT_EQ(pair.client.session.open_streams(), 1u);
}

TEST(SessionCalls, TrailersOnlyStaysTrailersOnly) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.client.finish(id);
  pair.exchange();
  HeaderList headers;
  headers.add(":status", "200");
  headers.add("grpc-status", "5");
  EXPECT_TRUE(pair.server.session.submit_response(id, headers, nullptr));
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "response(:status=200,grpc-status=5,end) closed(0)");
}

TEST(SessionCalls, ARequestWithoutABodyEndsWithItsHeaders) {
  Pair pair;
  const StreamId id = pair.client.request({}, false);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(id), "request(end)");
}

TEST(SessionCalls, AnEmptyBodyEndsWithData) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.client.finish(id);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(id), "request() end");
  pair.server.respond(id);
  pair.server.finish(id);
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id), "response(:status=200) end closed(0)");
}

TEST(SessionCalls, TrailersOfARequestAreTrailers) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.client.send(id, "x");
  pair.client.record(id).trailers.add("x-end", "1");
  pair.client.session.finish_with_trailers(id, pair.client.record(id).body,
                                           pair.client.record(id).trailers);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(id), "request() trailers(x-end=1,end)");
}

TEST(SessionCalls, InformationalBlocksAreToldFromTheResponse) {
  Pair pair;
  const StreamId id = pair.client.request();
  pair.client.finish(id);
  pair.exchange();
  HeaderList early;
  early.add(":status", "103");
  EXPECT_TRUE(pair.server.session.submit_informational(id, early));
  pair.server.respond(id);
  pair.server.finish_with_status(id, "0");
  pair.exchange();
  EXPECT_EQ(pair.client.trace(id),
            "informational(:status=103) response(:status=200) trailers(grpc-status=0,end) "
            "closed(0)");
}

TEST(SessionCalls, HeadersKeepOrderRepetitionAndBytes) {
  Pair pair;
  const StreamId id = pair.client.request({{"x-b", "2"},
                                           {"x-a", " spaces kept "},
                                           {"x-b", "1"},
                                           {"x-raw-bin", "AAECAw=="},
                                           {"x-empty", ""}},
                                          false);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(id),
            "request(x-b=2,x-a= spaces kept ,x-b=1,x-raw-bin=AAECAw==,x-empty=,end)");
}

// Who looks at the first and who calls the last would not mean the same call.
TEST(SessionCalls, APseudoFieldThatStandsTwiceIsRefused) {
  Pair pair;
  for (const char* name : {":path", ":authority", ":method", ":scheme"}) {
    const StreamId id = pair.client.request({{name, "/a.B/Other"}}, false);
    pair.exchange();
    EXPECT_EQ(pair.client.trace(id), "closed(1)") << name;
    EXPECT_EQ(pair.server.trace(id), "closed(1)") << name << " is never a request";
  }
  const StreamId id = pair.client.request({}, false);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(id), "request(end)");
}

TEST(SessionCalls, NeverIndexIsKeptAndSecretsAreNeverIndexed) {
  Pair pair;
  HeaderList headers;
  headers.add(":method", "POST");
  headers.add(":scheme", "http");
  headers.add(":path", "/a.B/C");
  headers.add(":authority", "localhost");
  headers.add("x-token", "t", true);
  headers.add("authorization", "secret");
  headers.add("cookie", "longer-than-what-the-encoder-hides-by-itself");
  headers.add("proxy-authorization", "p");
  headers.add("x-plain", "p");
  End::Stream record;
  const StreamId id = pair.client.session.submit_request(headers, nullptr, &record);
  pair.exchange();
  EXPECT_EQ(pair.server.trace(id),
            "request(x-token!t,authorization!secret,"
            "cookie!longer-than-what-the-encoder-hides-by-itself,proxy-authorization!p,"
            "x-plain=p,end)");
}

TEST(SessionCalls, MoreFieldsThanFitOnTheStackArrive) {
  Pair pair;
  std::vector<std::pair<std::string, std::string>> many;
  for (int i = 0; i < 200; ++i) many.emplace_back("x-" + std::to_string(i), "v");
  const StreamId id = pair.client.request(many, false);
  pair.exchange();
  EXPECT_NE(pair.server.trace(id).find("x-0=v,x-1=v"), std::string::npos);
  EXPECT_NE(pair.server.trace(id).find("x-199=v,end"), std::string::npos);
}

TEST(SessionCalls, BytesMayArriveOneAtATime) {
  Pair pair;
  const StreamId id = pair.client.request({{"x", "y"}});
  pair.client.send(id, "hello");
  pair.client.finish(id);
  for (char byte : take_output(pair.client.session)) {
    ASSERT_TRUE(give(pair.server.session, {&byte, 1}));
  }
  EXPECT_EQ(pair.server.trace(id), "request(x=y) end");
  EXPECT_EQ(pair.server.data(id), "hello");
}

TEST(SessionCalls, LargeBodiesArriveWholeBothWays) {
  Pair pair;
  std::string big(5 << 20, '\0');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 2654435761u >> 11);
  const StreamId id = pair.client.request();
  // In appends of many sizes, so that pieces are copied as well as shared.
  for (std::size_t at = 0, size = 1; at < big.size(); at += size, size = size * 3 % 70'001 + 1) {
    pair.client.send(id, std::string_view(big).substr(at, size));
  }
  pair.client.finish(id);
  pair.exchange();
  EXPECT_TRUE(pair.server.data(id) == big);
  pair.server.respond(id);
  pair.server.send(id, big);
  pair.server.finish_with_status(id, "0");
  pair.exchange();
  EXPECT_TRUE(pair.client.data(id) == big);
  EXPECT_TRUE(pair.client.record(id).is_closed);
}

}  // namespace
}  // namespace plugind::wire::test
