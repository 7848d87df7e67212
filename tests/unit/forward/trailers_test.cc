// The ends of requests and replies: what of them passes, and what does not.
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/forward/raw_end.h"

namespace plugind::forward::testing {
namespace {

namespace raw = plugind::testing;

// -- resets after them ------------------------------------------------------------------------

class ResetsTest : public RawPluginTest {
 protected:
  /// A reply with trailers, then a reset, of a call whose host takes some of it and waits.
  void end_and_reset(std::uint32_t code, bool later, bool host_has_ended) {
    wire::Limits narrow;
    narrow.stream_window = 1'000;
    const auto host = connect("", narrow);
    host->reads_by_itself = false;
    Stream& call = host->request("/test.echo/Do", {}, !host_has_ended);
    const auto [plugin, stream] = next_call();
    ASSERT_TRUE(plugin);
    const std::string reply = framed(std::string(4'000, 'y'));
    const std::string end =
        raw_headers(stream) + raw_data(stream, reply) + raw_trailers(stream, "8");
    const std::string reset = raw::frame(raw::FrameType::kReset, 0, stream, raw_numbers({code}));
    plugin->write(later ? end : end + reset);
    run_until([&] { return call.data.size() == 1'000; }, "what the host takes");
    wait_read(*plugin);
    if (later) plugin->write(reset);
    wait_read(*plugin);
    EXPECT_FALSE(call.closed);
    host->on_data_hook = [&](Stream& more) { host->consume(more, more.unconsumed); };
    host->consume(call, call.unconsumed);
    wait_closed(call);
    EXPECT_EQ(call.trailers["grpc-status"], "8");
    EXPECT_EQ(call.data, reply);
    EXPECT_EQ(call.error, wire::kNoError);
  }
};

// Servers say with it that they do not want the rest of the request, and some say it with a code of
// an error.  The status has been told by then.
TEST_F(ResetsTest, ThatFollowTheTrailersDoNotTakeTheirPlace) {
  apply({manifest("echo")});
  for (const std::uint32_t code : {wire::kNoError, wire::kInternalError, wire::kCancel}) {
    for (const bool later : {false, true}) {
      for (const bool host_has_ended : {false, true}) {
        SCOPED_TRACE(std::to_string(code) + (later ? ", later" : ", in the same write") +
                     (host_has_ended ? ", the host has ended" : ", the host has not ended"));
        end_and_reset(code, later, host_has_ended);
        ASSERT_FALSE(HasFatalFailure());
      }
    }
  }
}

// -- of requests ------------------------------------------------------------------------------

using RequestTrailersTest = ForwardTest;

// gRPC has none, so what stands there is for nobody; least of all what only the daemon may say.
TEST_F(RequestTrailersTest, EndTheRequestAndSayNothing) {
  apply({manifest("echo")});
  const auto host = connect();
  for (const std::string& body : {framed("the body"), std::string()}) {
    Stream* seen = nullptr;
    Peer* at = nullptr;
    serve_ = [&](Peer& plugin, Stream& stream) {
      at = &plugin;
      seen = &stream;
    };
    Stream& call = host->request("/test.echo/Do");
    if (!body.empty()) host->send(call, body);
    host->trailers(call, {{"plugind-call-id", "forged"},
                          {"plugind-peer-uid", "forged"},
                          {"plugind-plugin", "other"},
                          {"plugind-anything-bin", "AAAA"},
                          {"x-tail", "of the host"}});
    run_until([&] { return seen != nullptr && seen->ended; }, "the end of the request");
    ASSERT_FALSE(HasFatalFailure());
    EXPECT_EQ(seen->data, body);
    EXPECT_TRUE(seen->trailers.empty()) << seen->trailers.begin()->first;
    EXPECT_EQ(seen->headers["plugind-peer-uid"], std::to_string(::getuid()));
    EXPECT_NE(seen->headers["plugind-call-id"], "forged");
    EXPECT_FALSE(seen->headers.contains("plugind-plugin"));
    at->respond(*seen);
    at->trailers(*seen);
    wait_closed(call);
    EXPECT_EQ(call.trailers["grpc-status"], "0");
  }
}

// -- their bound ------------------------------------------------------------------------------

constexpr std::size_t kBound = 16 << 10;

class TrailersBoundTest : public ForwardTest {
 protected:
  static wire::Limits limits() {
    wire::Limits limits;
    limits.max_header_block = kBound;
    return limits;
  }
  TrailersBoundTest() : ForwardTest(limits()) { plugin_limits_ = {}; }
};

TEST_F(TrailersBoundTest, IsTheOneOfEveryHeaderBlock) {
  // What stands there besides, with 32 for each field.
  constexpr std::size_t kStatus = 11 + 1 + 32;
  std::size_t size = 0;
  serve_ = [&](Peer& plugin, Stream& stream) {
    plugin.respond(stream);
    plugin.send(stream, framed("the reply"));
    plugin.trailers(stream, {{"grpc-status", "0"}, {"x", std::string(size - kStatus - 33, 'v')}});
  };
  apply({manifest("echo")});
  const auto host = connect();
  for (const bool fits : {true, true, false}) {
    size = size == 0 ? kBound - 1 : size + 1;
    Stream& call = host->request("/test.echo/Do", {}, false);
    wait_closed(call);
    EXPECT_EQ(call.data, framed("the reply")) << size;
    EXPECT_EQ(call.trailers["grpc-status"], fits ? "0" : "8") << size;
    EXPECT_EQ(reason_of(call.trailers), fits ? "" : "HEADERS_TOO_LARGE") << size;
    EXPECT_EQ(call.trailers["x"].size(), fits ? size - kStatus - 33 : 0) << size;
    EXPECT_EQ(call.error, wire::kNoError);
  }
}

}  // namespace
}  // namespace plugind::forward::testing
