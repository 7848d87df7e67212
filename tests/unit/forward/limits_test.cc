// The bounds of calls: below, at and above each.
#include <gtest/gtest.h>

#include "daemon/forward/call_timeout.h"
#include "proto/wire/grpc_timeout.h"
#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

using namespace std::chrono_literals;

std::string status_of(const Stream& stream) {
  const auto it = stream.trailers.find("grpc-status");
  return it == stream.trailers.end() ? "none" : it->second;
}
std::string message_of(const Stream& stream) {
  const auto it = stream.trailers.find("grpc-message");
  return it == stream.trailers.end() ? "none" : it->second;
}
/// The reason in the details, which are base64 of a message that has it as text.
bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// -- time -------------------------------------------------------------------------------------

std::string timeout_text(std::optional<std::chrono::nanoseconds> asked,
                         std::chrono::milliseconds usual, std::chrono::milliseconds most) {
  const auto timeout = call_timeout(asked, usual, most);
  if (!timeout) return "none";
  return std::to_string(timeout->length / 1ms) + " ms" +
         (timeout->setting.empty() ? "" : " " + std::string(timeout->setting));
}

TEST(CallTimeout, TheUsualOneHoldsWhereTheCallerSetsNone) {
  EXPECT_EQ(timeout_text({}, 0ms, 0ms), "none");
  EXPECT_EQ(timeout_text({}, 10ms, 0ms), "10 ms calls.timeout");
  EXPECT_EQ(timeout_text(9ms, 10ms, 0ms), "9 ms");
  EXPECT_EQ(timeout_text(10ms, 10ms, 0ms), "10 ms");
  EXPECT_EQ(timeout_text(11ms, 10ms, 0ms), "11 ms") << "it is no bound";
}

TEST(CallTimeout, TheLongestOneIsABoundOnEverybody) {
  EXPECT_EQ(timeout_text(19ms, 0ms, 20ms), "19 ms");
  EXPECT_EQ(timeout_text(20ms, 0ms, 20ms), "20 ms");
  EXPECT_EQ(timeout_text(21ms, 0ms, 20ms), "20 ms calls.timeout_max");
  EXPECT_EQ(timeout_text(20ms + 1ns, 0ms, 20ms), "20 ms calls.timeout_max");
  EXPECT_EQ(timeout_text({}, 0ms, 20ms), "20 ms calls.timeout_max");
  EXPECT_EQ(timeout_text({}, 10ms, 20ms), "10 ms calls.timeout");
}

TEST(CallTimeout, WhoAsksForYearsAsksForNone) {
  const auto years = std::chrono::nanoseconds::max();
  EXPECT_EQ(timeout_text(years, 0ms, 0ms), "none");
  EXPECT_EQ(timeout_text(years, 10ms, 0ms), "none");
  EXPECT_EQ(timeout_text(years, 10ms, 20ms), "20 ms calls.timeout_max");
}

class LimitsTest : public ForwardTest {
 protected:
  using ForwardTest::ForwardTest;
  /// Waits until the plugin has been called `count` times.
  void wait_called(std::size_t count) {
    run_until([&] { return !plugins_.empty() && plugin().streams.size() == count; }, "the call");
  }
  /// What the call that came last was told, in nanoseconds; 0 if nothing.
  std::int64_t told_timeout() {
    const auto& headers = plugin().streams.rbegin()->second->headers;
    const auto it = headers.find("grpc-timeout");
    return it == headers.end() ? 0 : wire::parse_grpc_timeout(it->second).value_or(-1);
  }
};

TEST_F(LimitsTest, ThePluginIsToldTheTimeThatThereReallyIs) {
  auto m = manifest("echo");
  m.calls_timeout = 1h;
  m.calls_timeout_max = 2h;
  apply({m});
  const auto host = connect();
  constexpr std::int64_t kHour = 3'600'000'000'000;
  host->request("/test.echo/Do");
  wait_called(1);
  EXPECT_GT(told_timeout(), 0);
  EXPECT_LE(told_timeout(), kHour) << "calls.timeout";
  host->request("/test.echo/Do", {{"grpc-timeout", "5400S"}});
  wait_called(2);
  EXPECT_GT(told_timeout(), kHour) << "its own";
  EXPECT_LE(told_timeout(), kHour * 3 / 2);
  host->request("/test.echo/Do", {{"grpc-timeout", "3H"}});
  wait_called(3);
  EXPECT_GT(told_timeout(), kHour * 3 / 2) << "calls.timeout_max";
  EXPECT_LE(told_timeout(), 2 * kHour);
}

TEST_F(LimitsTest, NoDeadlineIsToldWhereThereIsNone) {
  apply({manifest("echo")});
  const auto host = connect();
  host->request("/test.echo/Do");
  wait_called(1);
  EXPECT_EQ(told_timeout(), 0);
}

TEST_F(LimitsTest, ACallOverTheLongestTimeEndsAndSaysWhichSettingItWas) {
  auto m = manifest("echo");
  m.calls_timeout_max = 50ms;
  apply({m});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do", {{"grpc-timeout", "1H"}});
  wait_closed(call);
  EXPECT_EQ(status_of(call), "4");
  EXPECT_TRUE(contains(message_of(call), "no answer within 50 ms from plugin 'echo'"));
  EXPECT_TRUE(contains(message_of(call), "(calls.timeout_max)")) << message_of(call);
}

// -- messages ---------------------------------------------------------------------------------

class RepliesTest : public LimitsTest {
 protected:
  /// The plugin answers with these bytes, in pieces of `piece`.
  Stream& call(const std::string& bytes, std::size_t piece,
               const std::string& content_type = "application/grpc") {
    serve_ = [=](Peer& plugin, Stream& stream) {
      wire::HeaderList headers;
      headers.add(":status", "200");
      headers.add("content-type", content_type);
      plugin.session().submit_response(stream.id, headers, &stream.body);
      for (std::size_t at = 0; at < bytes.size(); at += piece) {
        plugin.send(stream, bytes.substr(at, piece));
      }
      plugin.trailers(stream);
    };
    if (!forwarder_) {
      auto m = manifest("echo");
      m.calls_max_message = 1'000;
      apply({m});
      host_ = connect();
    }
    Stream& stream = host_->request("/test.echo/Do", {}, false);
    wait_closed(stream);
    return stream;
  }
  std::shared_ptr<Peer> host_;
};

TEST_F(RepliesTest, PassBelowAndAtTheBound) {
  for (const std::size_t size : {0, 1, 999, 1'000}) {
    const std::string reply = framed(std::string(size, 'r'));
    const Stream& stream = call(reply, 300);
    EXPECT_EQ(status_of(stream), "0") << size;
    EXPECT_EQ(stream.data, reply);
  }
  std::string many;
  for (int i = 0; i < 10; ++i) many += framed(std::string(1'000, 'r'));
  EXPECT_EQ(call(many, many.size()).data, many) << "it bounds each message, not their sum";
}

TEST_F(RepliesTest, EndTheCallAboveTheBound) {
  const std::string first = framed("fits");
  for (const std::size_t piece : {1, 7, 4'096}) {
    const Stream& stream = call(first + framed(std::string(1'001, 'r')), piece);
    EXPECT_EQ(status_of(stream), "8");
    EXPECT_TRUE(
        contains(message_of(stream), "a reply message has 1001 bytes; plugin 'echo' may send 1000"))
        << message_of(stream);
    EXPECT_EQ(stream.data, first) << "what was before it has arrived, and nothing of it";
    EXPECT_EQ(stream.error, wire::kNoError);
  }
  // And the connections go on.
  EXPECT_EQ(status_of(call(first, 100)), "0");
}

class RepliesInPiecesTest : public LimitsTest {
 protected:
  /// The plugin sends these pieces of a reply, each after the one before has reached the daemon.
  Stream& call(const std::vector<std::string>& pieces) {
    Stream* asked = nullptr;
    serve_ = [&](Peer& plugin, Stream& stream) {
      asked = &stream;
      plugin.respond(stream);
    };
    if (!forwarder_) {
      auto m = manifest("echo");
      m.calls_max_message = 1'000;
      apply({m});
      host_ = connect();
    }
    Stream& stream = host_->request("/test.echo/Do", {}, false);
    run_until([&] { return asked != nullptr; }, "the call");
    for (const std::string& piece : pieces) {
      if (asked->closed) break;  // The daemon has heard enough.
      const auto before = plugin().transport().written_total();
      plugin().send(*asked, piece);
      run_until([&] { return plugin().transport().written_total() > before; }, "the piece");
      while (loop_.poll() > 0) {
      }
    }
    if (!asked->closed) plugin().trailers(*asked);
    wait_closed(stream);
    return stream;
  }
  /// `bytes`, cut in front of the positions whose bits are set.
  static std::vector<std::string> cut(const std::string& bytes, unsigned positions) {
    std::vector<std::string> pieces(1);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (i > 0 && i < 32 && (positions >> i & 1) != 0) pieces.emplace_back();
      pieces.back() += bytes[i];
    }
    return pieces;
  }
  std::shared_ptr<Peer> host_;
};

// The first message has nine bytes, so the second one's prefix is from 9 to 13.  A client that gets
// a part of it tells its caller of a broken reply rather than of the status.
TEST_F(RepliesInPiecesTest, KeepTheirStatusHoweverThePrefixOfALargeOneIsCut) {
  const std::string first = framed("fits");
  const std::string bytes = first + framed(std::string(1'001, 'r'));
  for (unsigned cuts = 0; cuts < 64; ++cuts) {
    const Stream& stream = call(cut(bytes, cuts << first.size()));
    ASSERT_EQ(status_of(stream), "8") << "cuts " << cuts;
    ASSERT_TRUE(stream.data == first) << "cuts " << cuts << ": " << stream.data.size() << " bytes";
    ASSERT_EQ(stream.error, wire::kNoError);
  }
  const std::string large = framed(std::string(1'001, 'r'));
  for (unsigned cuts = 0; cuts < 32; ++cuts) {
    const Stream& stream = call(cut(large, cuts << 1));
    ASSERT_EQ(status_of(stream), "8") << "the first, cuts " << cuts;
    ASSERT_EQ(stream.data, "");
  }
}

TEST_F(RepliesInPiecesTest, PassWholeHoweverTheyAreCut) {
  const std::string bytes = framed("") + framed("fits") + framed("");
  for (unsigned cuts = 0; cuts < 1u << (bytes.size() - 1); cuts = cuts * 5 / 4 + 1) {
    const Stream& stream = call(cut(bytes, cuts << 1));
    ASSERT_EQ(status_of(stream), "0") << "cuts " << cuts;
    ASSERT_TRUE(stream.data == bytes) << "cuts " << cuts;
  }
}

TEST_F(RepliesInPiecesTest, ThatEndWithinAPrefixEndThereForTheHostToo) {
  for (std::size_t size = 1; size < 5; ++size) {
    const std::string bytes = framed("fits") + std::string(size, '\0');
    EXPECT_EQ(call({bytes}).data, bytes);
    EXPECT_EQ(call(cut(bytes, ~0u)).data, bytes);
  }
}

TEST_F(RepliesInPiecesTest, WithAWrongFlagAreForTheHostToJudge) {
  const std::string bytes = framed("fits") + std::string("\2\0\0\0\0rest", 9);
  EXPECT_EQ(call(cut(bytes, ~0u)).data, bytes);
}

TEST_F(RepliesTest, ThatAreNotGrpcAreNoneOfOurBusiness) {
  const std::string page("\0\1\1\1\1 is no length", 18);
  EXPECT_EQ(call(page, 100, "text/html").data, page);
}

TEST_F(LimitsTest, ARequestMessageBelowTheBoundPasses) {
  auto m = manifest("echo");
  m.calls_max_message = 1'000;
  apply({m});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do");
  for (int i = 0; i < 3; ++i) host->send(call, framed(std::string(999, 'x')));
  run_until(
      [&] {
        return !plugins_.empty() && !plugin().streams.empty() &&
               plugin().streams.begin()->second->data.size() == 3 * 1'004;
      },
      "the messages");
  EXPECT_FALSE(call.closed);
}

// -- calls at a time --------------------------------------------------------------------------

TEST_F(LimitsTest, CallsOfAPluginAreBoundedOverAllConnections) {
  auto m = manifest("echo");
  m.calls_max_concurrent = 3;
  apply({m});
  const auto host = connect();
  const auto other = connect("echo");
  Stream& one = host->request("/test.echo/Do");
  host->request("/test.echo/Do");
  wait_called(2);
  other->request("/test.echo/Do");
  wait_called(3);
  for (const auto& connection : {host, other}) {
    Stream& refused = connection->request("/test.echo/Do", {}, false);
    wait_closed(refused);
    EXPECT_EQ(status_of(refused), "8");
    EXPECT_TRUE(contains(message_of(refused), "3 calls of plugin 'echo' are in progress already"))
        << message_of(refused);
  }
  EXPECT_EQ(plugin().streams.size(), 3u) << "the plugin does not see them";

  // A place is free again after an end, a cancellation and a lost connection.
  plugin().respond(*plugin().streams.begin()->second, {{"grpc-status", "0"}}, false);
  wait_closed(one);
  Stream& next = host->request("/test.echo/Do");
  wait_called(4);
  host->reset(next, wire::kCancel);
  Stream& last = plugin().streams.rbegin()->second.operator*();
  wait_closed(last);
  host->request("/test.echo/Do");
  wait_called(5);
  other->close();
  run_until([&] { return connections() == 1; }, "the connection to end");
  host->request("/test.echo/Do");
  wait_called(6);
}

TEST_F(LimitsTest, CallsThatWaitForAnInstanceCountToo) {
  auto m = manifest("echo");
  m.start_mode = plugin::StartMode::kOnDemand;
  m.calls_max_concurrent = 2;
  m.calls_queue = 1;
  apply({m});
  const auto host = connect();
  // All before the instance is ready: one waits, the queue refuses the second, and so it does not
  // count.
  Stream& first = host->request("/test.echo/Do");
  Stream& queue_full = host->request("/test.echo/Do");
  wait_closed(queue_full);
  EXPECT_TRUE(contains(message_of(queue_full), "(calls.queue)")) << message_of(queue_full);
  wait_called(1);
  host->request("/test.echo/Do");
  wait_called(2);
  Stream& too_many = host->request("/test.echo/Do");
  wait_closed(too_many);
  EXPECT_TRUE(contains(message_of(too_many), "(calls.max_concurrent)")) << message_of(too_many);
  EXPECT_FALSE(first.closed);
}

class FewStreamsTest : public LimitsTest {
 protected:
  static wire::Limits limits() {
    wire::Limits limits;
    limits.max_concurrent_streams = 2;
    return limits;
  }
  FewStreamsTest() : LimitsTest(limits()) { plugin_limits_ = {}; }
};

TEST_F(FewStreamsTest, AHostThatKnowsTheBoundWaits) {
  apply({manifest("echo")});
  const auto host = connect();
  Stream& one = host->request("/test.echo/Do");
  wait_called(1);  // By then it has the daemon's settings.
  host->request("/test.echo/Do");
  wait_called(2);
  Stream& third = host->request("/test.echo/Do");
  const auto other = connect();
  other->request("/test.echo/Do");
  wait_called(3);
  run_idle();
  EXPECT_EQ(plugin().streams.size(), 3u) << "the other connection's came, the third waits";
  EXPECT_FALSE(third.closed);
  plugin().respond(*plugin().streams.begin()->second, {{"grpc-status", "0"}}, false);
  wait_closed(one);
  wait_called(4);
}

TEST_F(FewStreamsTest, AHostThatDoesNotKnowItYetIsRefused) {
  apply({manifest("echo")});
  const auto host = connect();
  host->request("/test.echo/Do");
  host->request("/test.echo/Do");
  Stream& third = host->request("/test.echo/Do");
  wait_closed(third);
  // Which clients may try again, as nothing was done.
  EXPECT_EQ(third.error, wire::kRefusedStream);
  wait_called(2);
}

// -- metadata ---------------------------------------------------------------------------------

class MetadataTest : public LimitsTest {
 protected:
  static wire::Limits limits() {
    wire::Limits limits;
    limits.max_header_block = 16 << 10;
    return limits;
  }
  MetadataTest() : LimitsTest(limits()) { plugin_limits_ = {}; }
};

TEST_F(MetadataTest, OfRequestsAndRepliesIsBounded) {
  // What stands in the block besides, with 32 for each field.
  const std::size_t request =
      (7 + 4) + (7 + 4) + (5 + 13) + (10 + 16) + (2 + 8) + (12 + 16) + 6 * 32;
  const std::size_t reply = (7 + 3) + (12 + 16) + 2 * 32;
  std::size_t answered_with = 0;
  serve_ = [&](Peer& plugin, Stream& stream) {
    Peer::Headers extra;
    if (answered_with > 0) extra = {{"x", std::string(answered_with - reply - 33, 'v')}};
    plugin.respond(stream, extra);
    plugin.trailers(stream);
  };
  apply({manifest("echo")});
  const auto host = connect();
  for (const int over : {-1, 0, 1}) {
    const std::size_t size = static_cast<std::size_t>((16 << 10) + over);
    answered_with = 0;
    Stream& asked =
        host->request("/test.echo/Do", {{"x", std::string(size - request - 33, 'v')}}, false);
    wait_closed(asked);
    EXPECT_EQ(status_of(asked), over > 0 ? "8" : "0") << over << ": " << message_of(asked);
    answered_with = size;
    Stream& answered = host->request("/test.echo/Do", {}, false);
    wait_closed(answered);
    EXPECT_EQ(status_of(answered), over > 0 ? "8" : "0") << over << ": " << message_of(answered);
    if (over > 0) {
      EXPECT_TRUE(contains(message_of(asked), "metadata is larger than 16384 bytes"));
      EXPECT_TRUE(contains(message_of(answered), "answered with more metadata than 16384 bytes"));
    }
  }
}

}  // namespace
}  // namespace plugind::forward::testing
