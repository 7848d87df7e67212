// Hosts that do it wrong: each is told what, nobody else notices, nothing is kept.
#include <gmock/gmock.h>

#include <deque>

#include "tests/e2e/daemon_test.h"
#include "tests/support/raw_http2.h"

namespace plugind::e2e {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A daemon with a plugin that runs, and a host that calls it all the time.
class BadInput : public DaemonTest {
 protected:
  void SetUp() override {
    usual_manifests();
    manifest("strict", {kTestPlugin}, "calls.max_message = '64KiB'\n");
    manifest("other", {kTestPlugin}, "services = ['twice.v1.Twice']\n");
    manifest("another", {kTestPlugin}, "services = ['twice.v1.Twice']\n");
    // Too slow to start for the calls that wait for it.
    manifest("slow", {kMisbehave, "silent"}, "calls.queue = 2\n");
    start();
    ASSERT_EQ(answer("echo", "warm"), "warm");
    ASSERT_EQ(answer("strict", "warm"), "warm");
    ASSERT_TRUE(eventually([this] { return daemon_info().connections() == 1; }));
    descriptors_ = descriptors_of(daemon().pid());
    memory_ = daemon_info().resident_bytes();
    bystander_ = std::make_unique<Bystander>(plugin_socket("echo"));
  }
  void TearDown() override {
    if (bystander_ != nullptr) {
      EXPECT_EQ(bystander_->complaint(), "");
      bystander_.reset();
      // The same connection asks each time.  A loop beside the first one may have got connections
      // of its own to the control service, to echo and to strict.
      const std::size_t most = descriptors_ + 3 * (testing::workers() - 1);
      EXPECT_TRUE(eventually([&] { return descriptors_of(daemon().pid()) <= most; }))
          << descriptors_of(daemon().pid()) << " instead of " << most;
      // Descriptors may be back to so many while a loop still closes what the last host had open.
      EXPECT_TRUE(eventually([&] { return daemon_info().connections() == 1; }))
          << daemon_info().connections() << " connections instead of the one that asks";
    }
    DaemonTest::TearDown();
  }

  /// What a request with these headers, in one connection with nothing else, is answered.
  Headers answered(const Headers& headers) {
    RawConnection connection(directory_.socket());
    connection.send(http2_preface() +
                    frame(FrameType::kHeaders, kEndHeaders | kEndStream, 1, header_block(headers)));
    HeaderDecoder decoder;
    const auto reply = connection.read_frame(FrameType::kHeaders);
    return reply ? decoder.decode(reply->payload) : Headers{};
  }

  void expect_growth_below(std::uint64_t mebibytes) {
    if (kSanitized) return;  // It keeps freed memory, and adds memory of its own.
    EXPECT_LT(daemon_info().resident_bytes(), memory_ + (mebibytes << 20));
  }

  std::size_t descriptors_ = 0;
  std::uint64_t memory_ = 0;
  std::unique_ptr<Bystander> bystander_;
};

TEST_F(BadInput, MalformedHttp2EndsTheConnectionWithAReason) {
  const std::string good =
      frame(FrameType::kHeaders, kEndHeaders, 1, header_block(grpc_headers("/echo.v1.Echo/Unary")));
  const struct {
    const char* what;
    std::string bytes;
  } cases[] = {
      {"a frame over the maximum", std::string("\xff\xff\xff\0\0\0\0\0\1", 9)},
      {"settings of a size that is none", frame(FrameType::kSettings, 0, 0, "12345")},
      {"data outside a stream", frame(FrameType::kData, 0, 0, "data")},
      {"data on a stream that is not open", frame(FrameType::kData, 0, 7, "data")},
      {"a header block that is none", frame(FrameType::kHeaders, kEndHeaders, 1, "\xff\xff\xff")},
      {"a push from a client",
       frame(FrameType::kPushPromise, kEndHeaders, 1, std::string("\0\0\0\2", 4))},
      {"a continuation of nothing", frame(FrameType::kContinuation, kEndHeaders, 1, "")},
      {"a stream of the server's number",
       frame(FrameType::kHeaders, kEndHeaders, 2, header_block(grpc_headers("/a/b")))},
      {"a header block that does not end", frame(FrameType::kHeaders, 0, 1, "") + good},
  };
  for (const auto& [what, bytes] : cases) {
    RawConnection connection(directory_.socket());
    connection.send(http2_preface() + bytes);
    const auto goaway = connection.read_frame(FrameType::kGoaway);
    ASSERT_TRUE(goaway) << what;
    EXPECT_NE(goaway->payload.substr(4, 4), std::string(4, '\0')) << what << ": an error code";
    EXPECT_TRUE(connection.read_to_end()) << what << ": the connection is closed";
  }
  EXPECT_TRUE(
      daemon().wait_log("event=host-protocol-error detail=\"pid " + std::to_string(::getpid())));
}

TEST_F(BadInput, BytesThatAreNoHttp2AreToldSo) {
  for (const char* request :
       {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "\x16\x03\x01\x02garbage",
        "POST /echo.v1.Echo/Unary HTTP/1.0\r\n\r\n", "SSH-2.0-OpenSSH_9\r\n"}) {
    RawConnection connection(directory_.socket());
    connection.send(request);
    const auto reply = connection.read_to_end();
    ASSERT_TRUE(reply) << request;
    EXPECT_THAT(*reply, AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("use a gRPC client")));
  }
}

TEST_F(BadInput, HostsThatStopInTheMiddleAreForgotten) {
  const std::string whole = http2_preface() +
                            frame(FrameType::kHeaders, kEndHeaders, 1,
                                  header_block(grpc_headers("/echo.v1.Echo/Unary"))) +
                            frame(FrameType::kData, 0, 1, std::string("\0\0\1\0\0half", 9));
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    RawConnection connection(directory_.socket());
    connection.send(whole.substr(0, size));
  }
  std::deque<RawConnection> silent;
  for (int i = 0; i < 200; ++i) silent.emplace_back(directory_.socket());
  EXPECT_EQ(answer("echo", "hello"), "hello");
}

TEST_F(BadInput, RequestsThatAreNotGrpcGetAnHttpStatus) {
  const std::string path = "/echo.v1.Echo/Unary";
  EXPECT_EQ(
      value_of(answered(grpc_headers(path, {{"content-type", "application/json"}})), ":status"),
      "415");
  EXPECT_EQ(value_of(answered(grpc_headers(path, {{"content-type", ""}})), ":status"), "415");
  EXPECT_EQ(value_of(answered(grpc_headers(path, {{":method", "GET"}})), ":status"), "405");

  const Headers reply = answered(grpc_headers(path, {{"grpc-timeout", "soon"}}));
  EXPECT_EQ(value_of(reply, ":status"), "200");
  EXPECT_EQ(value_of(reply, "grpc-status"), "3");
  EXPECT_THAT(value_of(reply, "grpc-message"), HasSubstr("'soon' is not a timeout"));
}

/// A header block in as many frames as it needs.
std::string in_frames(const std::string& block) {
  constexpr std::size_t kPart = 16'000;
  std::string bytes;
  for (std::size_t at = 0; at < block.size(); at += kPart) {
    bytes += frame(at == 0 ? FrameType::kHeaders : FrameType::kContinuation,
                   at + kPart < block.size() ? 0 : kEndHeaders, 1, block.substr(at, kPart));
  }
  return bytes;
}

TEST_F(BadInput, AMebibyteOfHeadersIsRefused) {
  Headers headers = grpc_headers("/echo.v1.Echo/Unary");
  for (int i = 0; i < 64; ++i) headers.emplace_back("x-large", std::string(16 << 10, 'x'));
  RawConnection connection(directory_.socket());
  connection.send(http2_preface() + in_frames(header_block(headers)));
  const auto reply = connection.read_frame(FrameType::kHeaders);
  ASSERT_TRUE(reply);
  HeaderDecoder decoder;
  headers = decoder.decode(reply->payload);
  EXPECT_EQ(value_of(headers, "grpc-status"), "8");
  EXPECT_THAT(value_of(headers, "grpc-message"), HasSubstr("metadata is larger than 65536 bytes"));
  expect_growth_below(8);
}

TEST_F(BadInput, AHeaderOfAMebibyteIsRefused) {
  const std::string large(1 << 20, 'x');
  // HPACK has no way to leave out a single one, so the connection ends.
  RawConnection connection(directory_.socket());
  connection.send(http2_preface() + in_frames(header_block(grpc_headers("/echo.v1.Echo/Unary",
                                                                        {{"x-large", large}}))));
  EXPECT_TRUE(connection.read_frame(FrameType::kGoaway));
  EXPECT_TRUE(connection.read_to_end());

  expect_growth_below(8);
}

TEST_F(BadInput, AHeaderBlockWithoutEndEndsTheConnection) {
  RawConnection connection(directory_.socket());
  connection.send(http2_preface() + frame(FrameType::kHeaders, 0, 1, ""));
  const std::string more =
      frame(FrameType::kContinuation, 0, 1, header_block({{"x", std::string(16'000, 'x')}}));
  std::size_t sent = 0;
  while (sent < (64 << 20) && connection.send(more)) sent += more.size();
  EXPECT_LT(sent, std::size_t{64} << 20) << "it is never refused";
  expect_growth_below(8);
}

TEST_F(BadInput, UnknownPluginsAndServicesAreNamed) {
  const Told nobody = failure("nobody");
  EXPECT_EQ(nobody.code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(nobody.reason, "PLUGIN_NOT_FOUND");
  EXPECT_EQ(nobody.metadata.at("plugin"), "nobody");
  EXPECT_THAT(nobody.message, AllOf(HasSubstr("'nobody'"), HasSubstr("another, echo, kv, other")));
  EXPECT_EQ(failure("echo@7.0").reason, "PLUGIN_NOT_FOUND");

  Headers reply = answered(grpc_headers("/nobody.v1.Service/Method"));
  EXPECT_EQ(value_of(reply, "grpc-status"), "5");
  EXPECT_THAT(value_of(reply, "grpc-message"),
              AllOf(HasSubstr("'nobody.v1.Service'"), HasSubstr("plugind-plugin")));
  reply = answered(grpc_headers("/twice.v1.Twice/Method"));
  EXPECT_EQ(value_of(reply, "grpc-status"), "9");
  EXPECT_THAT(value_of(reply, "grpc-message"), HasSubstr("another, other"));
  for (const char* path : {"/", "//", "/echo.v1.Echo", "echo.v1.Echo/Unary", "*"}) {
    EXPECT_THAT(value_of(answered(grpc_headers(path)), "grpc-status"), ::testing::AnyOf("5", ""))
        << path;
  }
}

TEST_F(BadInput, AMessageOverTheBoundIsRefused) {
  const Told large = failure("strict", std::string(100'000, 'x'));
  EXPECT_EQ(large.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(large.reason, "REQUEST_TOO_LARGE");
  EXPECT_THAT(large.message, AllOf(HasSubstr("100004 bytes"), HasSubstr("'strict' takes 65536"),
                                   HasSubstr("calls.max_message")));
  EXPECT_EQ(answer("strict", std::string(60'000, 'x')).size(), 60'000U);

  // In the middle of a stream.
  Context context;
  context.AddMetadata("plugind-plugin", "strict");
  const auto stream = Echo::NewStub(front())->BidiStream(&context);
  EchoMessage message;
  message.set_payload("small");
  ASSERT_TRUE(stream->Write(message));
  ASSERT_TRUE(stream->Read(&message));
  message.set_payload(std::string(100'000, 'x'));
  stream->Write(message);
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(told(stream->Finish()).reason, "REQUEST_TOO_LARGE");
}

TEST_F(BadInput, TooManyCallsThatWaitAreRefused) {
  const auto channel = plugin_socket("slow");
  std::array<grpc::ClientContext, 2> contexts;
  {
    std::vector<std::jthread> callers;
    for (grpc::ClientContext& context : contexts) {
      callers.emplace_back([&] {
        EchoMessage reply;
        EXPECT_EQ(Echo::NewStub(channel)->Unary(&context, {}, &reply).error_code(),
                  grpc::StatusCode::CANCELLED);
      });
    }
    EXPECT_TRUE(eventually([&] { return get_plugin("slow").calls() == 2; }));
    const Told refused = failure("slow");
    EXPECT_EQ(refused.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
    EXPECT_EQ(refused.reason, "QUEUE_FULL");
    EXPECT_THAT(refused.message, AllOf(HasSubstr("2 calls wait"), HasSubstr("calls.queue")));
    for (grpc::ClientContext& context : contexts) context.TryCancel();
  }
  v1::StopPluginRequest request;
  request.set_name("slow");
  Context context;
  v1::StopPluginResponse response;
  EXPECT_TRUE(control()->StopPlugin(&context, request, &response).ok());
}

TEST_F(BadInput, AReaderThatReadsNothingHoldsNobodyUp) {
  Context context;
  context.AddMetadata("plugind-plugin", "echo");
  echo::v1::StreamRequest request;
  request.set_payload(std::string(1 << 20, 's'));
  request.set_repeat(200);
  const auto channel = front();
  const auto reader = Echo::NewStub(channel)->ServerStream(&context, request);
  EchoMessage message;
  ASSERT_TRUE(reader->Read(&message));
  for (int i = 0; i < 20; ++i) {
    // Also on the connection of the stream that nobody reads.
    std::string reply;
    ASSERT_TRUE(call(channel, std::string(100'000, 'x'), &reply, "echo").ok());
    EXPECT_EQ(reply.size(), 100'000U);
  }
  expect_growth_below(32);
  context.TryCancel();
  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(BadInput, PluginsThatPrintWithoutEndAreBoundedToo) {
  EXPECT_EQ(answer("echo", "!flood 1024"), "");
  expect_growth_below(16);
}

}  // namespace
}  // namespace plugind::e2e
