// The daemon's own statuses as header fields.
#include "daemon/forward/status_reply.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proto/wire/base64.h"
#include "proto/wire/status_details.h"

namespace plugind::forward {
namespace {

std::size_t size_of(const wire::HeaderList& headers) {
  std::size_t size = 0;
  for (std::size_t i = 0; i < headers.count(); ++i) {
    size += headers[i].name.size() + headers[i].value.size() + 32;
  }
  return size;
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string result;
  for (; times > 0; --times) result += text;
  return result;
}

// What percent-encoding makes three times as long: letters outside ASCII, and the ends of lines.
TEST(StatusReplyTest, AnyMessageFitsIntoTheMetadataThatEveryStackTakes) {
  for (const std::string& message : {std::string(9'000, 'x'), repeated("\u00e4", 1'024),
                                     repeated("\u732b", 3'000), repeated("%\n", 900)}) {
    wire::HeaderList headers;
    add_status(headers, make_error(Reason::kPluginCrashed, message));
    EXPECT_LE(size_of(headers), 8'192u);

    const std::string_view text = headers.get("grpc-status-details-bin");
    std::vector<std::uint8_t> bytes(wire::base64_decoded_bound(text.size()));
    const auto size = wire::base64_decode(text, bytes.data());
    ASSERT_TRUE(size);
    const auto details = wire::decode_status_details(bytes.data(), *size, "plugind");
    ASSERT_TRUE(details);
    EXPECT_TRUE(message.starts_with(details->message));
    EXPECT_GT(details->message.size(), 1'000u);
    // Cut between two letters.
    EXPECT_NE(static_cast<unsigned char>(message[details->message.size()]) & 0xc0, 0x80);
  }
}

TEST(StatusReplyTest, AMessageThatFitsIsNotCut) {
  wire::HeaderList headers;
  add_status(headers, make_error(Reason::kPluginCrashed, std::string(2'048, 'x')));
  EXPECT_EQ(headers.get("grpc-message").size(), 2'048u);
}

}  // namespace
}  // namespace plugind::forward
