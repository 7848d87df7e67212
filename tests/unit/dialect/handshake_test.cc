#include "daemon/dialect/handshake.h"

#include <gtest/gtest.h>

namespace plugind::dialect {
namespace {

std::expected<Handshake, Error> parse(std::string_view line) {
  return parse_handshake(line, {1, 5}, "/srv");
}

std::string address(std::string_view line) {
  const auto handshake = parse(line);
  return handshake ? handshake->endpoint.address : handshake.error().message;
}

TEST(HandshakeTest, UnixSockets) {
  EXPECT_EQ(address("1|5|unix|/tmp/p|grpc"), "unix:/tmp/p");
  EXPECT_EQ(address("  1|5|unix|/tmp/p|grpc|\t\r"), "unix:/tmp/p");
  EXPECT_EQ(address("1|5|unix|/tmp/p|grpc||true"), "unix:/tmp/p");
  EXPECT_EQ(address("1|5|unix|p.sock|grpc"), "unix:/srv/p.sock");
  EXPECT_EQ(parse("1|5|unix|/tmp/p|grpc")->protocol_version, 5u);
}

TEST(HandshakeTest, LoopbackTcp) {
  EXPECT_EQ(address("1|1|tcp|127.0.0.1:1234|grpc"), "tcp:127.0.0.1:1234");
  EXPECT_EQ(address("1|1|tcp|[::1]:1234|grpc"), "tcp:[::1]:1234");
  EXPECT_EQ(address("1|1|tcp|localhost:1234|grpc"), "tcp:localhost:1234");
  EXPECT_EQ(address("1|1|tcp|:1234|grpc"), "tcp:127.0.0.1:1234");
  EXPECT_EQ(address("1|1|tcp|0.0.0.0:1234|grpc"), "tcp:127.0.0.1:1234");
  EXPECT_EQ(address("1|1|tcp|[::]:1234|grpc"), "tcp:[::1]:1234");
}

// Old implementations sent other data where newer ones send a certificate.
TEST(HandshakeTest, ShortSixthFieldIsNoCertificate) {
  EXPECT_EQ(address("1|1|unix|/p|grpc|" + std::string(50, 'x')), "unix:/p");
}

struct Refusal {
  std::string line;
  Reason reason;
  std::string message;
};

class HandshakeRefusalTest : public testing::TestWithParam<Refusal> {};

TEST_P(HandshakeRefusalTest, IsRefused) {
  const auto handshake = parse(GetParam().line);
  ASSERT_FALSE(handshake);
  EXPECT_EQ(reason_name(handshake.error().reason), reason_name(GetParam().reason));
  EXPECT_NE(handshake.error().message.find(GetParam().message), std::string::npos)
      << handshake.error().message;
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Lines, HandshakeRefusalTest, testing::Values(
    Refusal{"1|1|unix|/p", Reason::kProtocolUnsupported, "it speaks Go's net/rpc"},
    Refusal{"1|1|unix|/p|netrpc", Reason::kProtocolUnsupported, "it speaks Go's net/rpc"},
    Refusal{"1|1|unix|/p|thrift", Reason::kProtocolUnsupported, "it speaks \"thrift\", not gRPC; plugind needs a plugin that serves gRPC: set GRPCServer"},
    Refusal{"2|1|unix|/p|grpc", Reason::kProtocolUnsupported, "it speaks version 2 of go-plugin's core protocol"},
    Refusal{"1|2|unix|/p|grpc", Reason::kProtocolUnsupported, "it speaks version 2 of its protocol, and go-plugin.protocol_versions of the manifest has 1, 5; add it"},
    Refusal{"1|1|unix|/p|grpc|" + std::string(51, 'x'), Reason::kProtocolUnsupported, "it wants TLS"},
    Refusal{"1|1|tcp|10.0.0.1:80|grpc", Reason::kProtocolUnsupported, "it listens on \"10.0.0.1:80\", which is not an address of this machine"},
    Refusal{"1|1|tcp|127.example.org:80|grpc", Reason::kProtocolUnsupported, "which is not an address of this machine"},
    Refusal{std::string("1|1|tcp|127.0.0.1\0x:80|grpc", 27), Reason::kProtocolUnsupported, "\"127.0.0.1\\x00x:80\", which is not"},
    Refusal{"1|1|tcp|127.0.0.1|grpc", Reason::kHandshakeInvalid, "which is not HOST:PORT"},
    Refusal{"1|1|tcp|127.0.0.1:0|grpc", Reason::kHandshakeInvalid, "which is not HOST:PORT"},
    Refusal{"1|1|tcp|127.0.0.1:65536|grpc", Reason::kHandshakeInvalid, "which is not HOST:PORT"},
    Refusal{"1|1|tcp|127.0.0.1:80x|grpc", Reason::kHandshakeInvalid, "which is not HOST:PORT"},
    Refusal{"1|1|pipe|x|grpc", Reason::kHandshakeInvalid, "has the network \"pipe\"; it is unix or tcp"},
    Refusal{"1|1|unix||grpc", Reason::kHandshakeInvalid, "has no address"},
    Refusal{"1|x|unix|/p|grpc", Reason::kHandshakeInvalid, "has the version \"x\", not a number"},
    Refusal{"1||unix|/p|grpc", Reason::kHandshakeInvalid, "has the version \"\", not a number"},
    Refusal{"hello", Reason::kHandshakeInvalid, "is not of the form"},
    Refusal{"", Reason::kHandshakeInvalid, "is not of the form"}));
// clang-format on

TEST(HandshakeTest, RecognisesItsLikes) {
  EXPECT_TRUE(looks_like_handshake("1|1|unix|/p"));
  EXPECT_TRUE(looks_like_handshake(" 9|x|y|z|grpc"));
  EXPECT_FALSE(looks_like_handshake("1|1|unix"));
  EXPECT_FALSE(looks_like_handshake("|1|unix|/p"));
  EXPECT_FALSE(looks_like_handshake("one|1|unix|/p"));
  EXPECT_FALSE(looks_like_handshake(""));
}

TEST(HandshakeReaderTest, TakesTheFirstHandshakeOnly) {
  HandshakeReader reader;
  reader.feed("noise\n1|1|unix|/a|grpc\n1|1|unix|/b|grpc\n");
  reader.feed("1|1|unix|/c|grpc\n");
  EXPECT_EQ(reader.line(), "1|1|unix|/a|grpc");
  EXPECT_FALSE(reader.overflowed());
}

TEST(HandshakeReaderTest, TheBoundsAreOnNoiseOnly) {
  HandshakeReader reader;
  for (std::size_t i = 0; i < HandshakeReader::kMaxLines; ++i) reader.feed("\n");
  EXPECT_FALSE(reader.overflowed());
  reader.feed("1|1|unix|/a|grpc\n" + std::string(HandshakeReader::kMaxBytes, 'x'));
  EXPECT_FALSE(reader.overflowed());
  EXPECT_FALSE(reader.line().empty());
}

TEST(HandshakeReaderTest, AHandshakeBehindTheBoundIsTooLateInOnePieceToo) {
  HandshakeReader reader;
  reader.feed(std::string(HandshakeReader::kMaxLines + 1, '\n') + "1|1|unix|/a|grpc\n");
  EXPECT_TRUE(reader.overflowed());
  EXPECT_EQ(reader.line(), "");
}

}  // namespace
}  // namespace plugind::dialect
