// What the daemon's own answers have in common, whatever they are about.
#include <gtest/gtest.h>

#include "proto/wire/base64.h"
#include "proto/wire/status_details.h"
#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

using namespace std::chrono_literals;

class OwnAnswersTest : public ForwardTest {
 protected:
  /// The answer is the daemon's: programs tell it from a plugin's by the domain of its ErrorInfo.
  void expect_own(Stream& call, const std::string& code, const std::string& reason) {
    SCOPED_TRACE(reason);
    wait_closed(call);
    EXPECT_EQ(call.trailers["grpc-status"], code);
    const std::string text = call.trailers["grpc-status-details-bin"];
    std::vector<std::uint8_t> bytes(wire::base64_decoded_bound(text.size()));
    const auto size = wire::base64_decode(text, bytes.data());
    ASSERT_TRUE(size);
    const auto details = wire::decode_status_details(bytes.data(), *size, "");
    ASSERT_TRUE(details);
    EXPECT_EQ(details->domain, "plugind");
    EXPECT_EQ(details->reason, reason);
    EXPECT_EQ(std::to_string(details->code), code);
  }
};

TEST_F(OwnAnswersTest, AreOfThisDaemonsDomain) {
  serve_ = [](Peer& plugin, Stream& stream) {
    if (stream.headers[":path"].ends_with("/Never")) return;
    plugin.respond(stream);
    plugin.send(stream, framed(std::string(1'001, 'r')));
    plugin.trailers(stream);
  };
  auto queued = manifest("queued");
  queued.calls_queue = 1;
  auto echo = manifest("echo");
  echo.calls_max_message = 1'000;
  apply({echo, queued});
  const auto host = connect();
  expect_own(host->request("/no.Service/Do", {}, false), "5", "SERVICE_NOT_FOUND");
  expect_own(host->request("/a.B/Do", {{"plugind-plugin", "nix"}}, false), "5", "PLUGIN_NOT_FOUND");
  expect_own(host->request("/test.echo/Do", {{"grpc-timeout", "soon"}}, false), "3",
             "REQUEST_INVALID");
  expect_own(host->request("/test.echo/Never", {{"grpc-timeout", "50m"}}, false), "4",
             "CALL_TIMEOUT");
  expect_own(host->request("/test.echo/Do", {{"x", std::string(70'000, 'v')}}, false), "8",
             "HEADERS_TOO_LARGE");
  // After the beginning of a reply it is in the trailers.
  expect_own(host->request("/test.echo/Do", {}, false), "8", "REPLY_TOO_LARGE");
  holds_starts_ = true;
  Stream& waits = host->request("/test.queued/Never", {}, false);
  expect_own(host->request("/test.queued/Never", {}, false), "8", "QUEUE_FULL");
  EXPECT_FALSE(waits.closed);
  release_starts();
}

}  // namespace
}  // namespace plugind::forward::testing
