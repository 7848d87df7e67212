#include "daemon/forward/calls_at_plugins.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward {
namespace {

using Entry = CallsAtPlugins::Entry;

TEST(CallsAtPlugins, AreCountedUntilTheyEnd) {
  CallsAtPlugins calls;
  std::vector<Entry> entries(3);
  for (Entry& entry : entries) calls.begin(entry);
  EXPECT_EQ(calls.count(), 3u);
  calls.end(entries[1]);
  EXPECT_EQ(calls.count(), 2u);
  calls.end(entries[0]);
  calls.end(entries[2]);
  EXPECT_EQ(calls.count(), 0u);
}

TEST(CallsAtPlugins, AreNotCountedWhenManyHaveOvertakenThem) {
  CallsAtPlugins calls;
  Entry stream;
  calls.begin(stream);
  for (std::uint64_t i = 1; i < CallsAtPlugins::kOvertakenBy; ++i) {
    Entry call;
    calls.begin(call);
    EXPECT_EQ(calls.count(), 2u) << i;
    calls.end(call);
  }
  EXPECT_EQ(calls.count(), 1u);
  Entry last;
  calls.begin(last);
  EXPECT_EQ(calls.count(), 1u);
  calls.end(last);
  EXPECT_EQ(calls.count(), 0u);
  calls.end(stream);  // It is not taken off a second time.
  EXPECT_EQ(calls.count(), 0u);
}

TEST(CallsAtPlugins, AnEntryMayBeginAgain) {
  CallsAtPlugins calls;
  Entry retried;
  calls.begin(retried);
  calls.end(retried);
  calls.begin(retried);
  EXPECT_EQ(calls.count(), 1u);
  calls.end(retried);
  EXPECT_EQ(calls.count(), 0u);
}

TEST(CallsAtPlugins, OfManyInFlightAsManyAreCountedAsOvertakeOne) {
  CallsAtPlugins calls;
  std::vector<Entry> entries(200);
  for (Entry& entry : entries) calls.begin(entry);
  EXPECT_EQ(calls.count(), CallsAtPlugins::kOvertakenBy);
  for (Entry& entry : entries) calls.end(entry);
  EXPECT_EQ(calls.count(), 0u);
}

class CallsAtPluginsTest : public testing::ForwardTest {
 protected:
  std::size_t count() const { return forwarder_->counters().calls_at_plugins.count(); }
};

TEST_F(CallsAtPluginsTest, AStreamThatStaysOpenIsSoonNotCounted) {
  serve_ = [](testing::Peer& plugin, testing::Stream& stream) {
    plugin.respond(stream);
    if (stream.headers[":path"] == "/test.echo/Do") plugin.trailers(stream);
  };
  apply({manifest("echo")});
  const auto host = connect();
  testing::Stream& stream = host->request("/test.echo/Chat");
  run_until([&] { return !stream.headers.empty(); }, "the stream");
  EXPECT_EQ(count(), 1u);
  for (std::uint64_t i = 0; i < CallsAtPlugins::kOvertakenBy; ++i) {
    testing::Stream& call = host->request("/test.echo/Do", {}, false);
    run_until([&] { return call.closed; }, "an answer");
    ASSERT_EQ(call.trailers["grpc-status"], "0");
  }
  EXPECT_EQ(count(), 0u);
  host->reset(stream, wire::kCancel);
  run_idle();
  EXPECT_EQ(count(), 0u);
}

}  // namespace
}  // namespace plugind::forward
