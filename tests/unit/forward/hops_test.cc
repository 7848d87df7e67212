// What is between two neighbours of a connection, and is not passed on.
#include <gtest/gtest.h>

#include "tests/unit/forward/raw_end.h"

namespace plugind::forward::testing {
namespace {

namespace raw = plugind::testing;
using raw::FrameType;

class HopsTest : public RawPluginTest {
 protected:
  HopsTest() { apply({manifest("echo")}); }

  static void call(RawEnd& host, std::uint32_t stream) {
    host.write(raw::frame(FrameType::kHeaders, raw::kEndHeaders | raw::kEndStream, stream,
                          raw::header_block(raw::grpc_headers("/test.echo/Do"))));
  }
  void wait_answered(RawEnd& host, std::size_t calls) {
    run_until(
        [&] {
          return host.count(FrameType::kHeaders, raw::kEndHeaders | raw::kEndStream) == calls;
        },
        "the answer");
  }
};

// It would make the host's library open a connection for nothing.
TEST_F(HopsTest, APluginsGoawayIsNotTheHosts) {
  RawEnd host(connect_raw(), wire::Role::kClient);
  host.write(raw::http2_preface());
  call(host, 1);
  const auto [plugin, stream] = next_call();
  ASSERT_TRUE(plugin);
  plugin->write(raw_headers(stream));
  plugin->write(raw::frame(FrameType::kGoaway, 0, 0, raw_numbers({stream, wire::kNoError})));
  wait_read(*plugin);
  plugin->write(raw_data(stream, framed("the reply")) + raw_trailers(stream, "0"));
  wait_answered(host, 1);
  // The next one is for a new connection, of the plugin alone.
  call(host, 3);
  const auto [other, next] = next_call();
  ASSERT_TRUE(other);
  EXPECT_NE(other, plugin);
  other->write(raw_headers(next) + raw_trailers(next, "0"));
  wait_answered(host, 2);
  wait_read(host);
  EXPECT_EQ(host.count(FrameType::kGoaway), 0u);
  EXPECT_FALSE(host.ended());
}

TEST_F(HopsTest, PingsAreAnsweredByTheDaemonAndGoNoFurther) {
  RawEnd host(connect_raw(), wire::Role::kClient);
  host.write(raw::http2_preface());
  call(host, 1);
  const auto [plugin, stream] = next_call();
  ASSERT_TRUE(plugin);
  plugin->write(raw_headers(stream));
  plugin->write(raw::frame(FrameType::kPing, 0, 0, "a plugin"));
  run_until([&] { return plugin->count(FrameType::kPing) == 1; }, "the answer to the plugin");
  host.write(raw::frame(FrameType::kPing, 0, 0, "the host"));
  run_until([&] { return host.count(FrameType::kPing) == 1; }, "the answer to the host");
  // Whatever else the daemon has to say it has said when the call is answered.
  plugin->write(raw_data(stream, framed("the reply")) + raw_trailers(stream, "0"));
  wait_answered(host, 1);
  wait_read(*plugin);
  for (RawEnd* end : {plugin, &host}) {
    for (const raw::Frame& frame : end->frames()) {
      if (frame.type != FrameType::kPing || frame.payload == "whatever") continue;
      EXPECT_EQ(frame.flags, raw::kAck) << frame.payload;
      EXPECT_EQ(frame.payload, end == plugin ? "a plugin" : "the host");
    }
  }
  EXPECT_EQ(host.count(FrameType::kPing), 1u);
}

}  // namespace
}  // namespace plugind::forward::testing
