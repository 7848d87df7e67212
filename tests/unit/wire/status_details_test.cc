#include "proto/wire/status_details.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/wire/rpc_status.pb.h"

namespace plugind::wire {
namespace {

constexpr char kUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";

std::string encode(const StatusDetails& details) {
  std::string bytes(encoded_status_details_size(details), '?');
  EXPECT_EQ(encode_status_details(details, reinterpret_cast<std::uint8_t*>(bytes.data())),
            bytes.size());
  return bytes;
}

std::optional<DecodedStatusDetails> decode(const std::string& bytes) {
  return decode_status_details(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(),
                               "plugind");
}

void add_info(wire_test::Status& status, const std::string& reason, const std::string& domain,
              const std::string& url = kUrl) {
  wire_test::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain(domain);
  (*info.mutable_metadata())["plugin"] = "kv";
  auto* any = status.add_details();
  any->set_type_url(url);
  any->set_value(info.SerializeAsString());
}

TEST(StatusDetails, ProtobufReadsWhatWeWrite) {
  const ErrorInfoEntry metadata[] = {{"plugin", "kv"}, {"signal", "11"}, {"empty", ""}};
  const std::string long_message(1000, 'm');
  const std::string bytes =
      encode({14, long_message, "PLUGIN_CRASHED", "plugind", metadata, std::size(metadata)});

  wire_test::Status status;
  ASSERT_TRUE(status.ParseFromString(bytes));
  EXPECT_EQ(status.code(), 14);
  EXPECT_EQ(status.message(), long_message);
  ASSERT_EQ(status.details_size(), 1);
  EXPECT_EQ(status.details(0).type_url(), kUrl);
  wire_test::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(status.details(0).value()));
  EXPECT_EQ(info.reason(), "PLUGIN_CRASHED");
  EXPECT_EQ(info.domain(), "plugind");
  EXPECT_EQ(info.metadata().size(), 3u);
  EXPECT_EQ(info.metadata().at("plugin"), "kv");
  EXPECT_EQ(info.metadata().at("signal"), "11");
  EXPECT_EQ(info.metadata().at("empty"), "");
}

TEST(StatusDetails, WeReadWhatProtobufWrites) {
  wire_test::Status status;
  status.set_code(14);
  status.set_message("it ended");
  add_info(status, "PLUGIN_CRASHED", "plugind");
  const std::string bytes = status.SerializeAsString();
  const auto details = decode(bytes);
  ASSERT_TRUE(details);
  EXPECT_EQ(details->code, 14);
  EXPECT_EQ(details->message, "it ended");
  EXPECT_EQ(details->reason, "PLUGIN_CRASHED");
  EXPECT_EQ(details->domain, "plugind");
}

TEST(StatusDetails, NegativeCodeKeepsItsSign) {
  StatusDetails negative;
  negative.code = -3;
  const std::string bytes = encode(negative);
  wire_test::Status status;
  ASSERT_TRUE(status.ParseFromString(bytes));
  EXPECT_EQ(status.code(), -3);
  EXPECT_EQ(decode(bytes)->code, -3);
}

TEST(StatusDetails, ThePreferredDomainWinsWhereverItStands) {
  wire_test::Status status;
  add_info(status, "FIRST", "example.org");
  add_info(status, "OTHER_TYPE", "plugind", "type.googleapis.com/google.rpc.BadRequest");
  add_info(status, "OURS", "plugind");
  add_info(status, "LATER", "plugind");
  EXPECT_EQ(decode(status.SerializeAsString())->reason, "OURS");
}

TEST(StatusDetails, WithoutThePreferredDomainTheFirstInfoCounts) {
  wire_test::Status status;
  add_info(status, "FIRST", "example.org");
  add_info(status, "SECOND", "example.com");
  const std::string bytes = status.SerializeAsString();
  EXPECT_EQ(decode(bytes)->reason, "FIRST");
  EXPECT_EQ(decode(bytes)->domain, "example.org");
}

TEST(StatusDetails, NothingAtAllIsAnEmptyStatus) {
  const auto details = decode("");
  ASSERT_TRUE(details);
  EXPECT_EQ(details->code, 0);
  EXPECT_EQ(details->reason, "");
}

TEST(StatusDetails, UnknownFieldsOfEveryWireTypeAreSkipped) {
  wire_test::Status status;
  add_info(status, "OURS", "plugind");
  std::string unknown("\x78\x01", 2);                  // 15: varint
  unknown += std::string("\x79\1\2\3\4\5\6\7\10", 9);  // 15: fixed64
  unknown += std::string("\x7d\1\2\3\4", 5);           // 15: fixed32
  unknown += std::string("\x7a\3abc", 5);              // 15: bytes
  EXPECT_EQ(decode(unknown + status.SerializeAsString() + unknown)->reason, "OURS");
}

TEST(StatusDetails, BytesCutAnywhereAreRefusedOrLackOnlyWholeFields) {
  wire_test::Status status;
  status.set_code(14);
  status.set_message("it ended");
  add_info(status, "PLUGIN_CRASHED", "plugind");
  const std::string bytes = status.SerializeAsString();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    // An exact allocation, so that a sanitizer sees every byte read too far.
    const std::vector<std::uint8_t> cut(bytes.begin(),
                                        bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const auto details = decode_status_details(cut.data(), cut.size(), "plugind");
    if (details) {
      EXPECT_EQ(details->reason, "") << size;
    }
  }
}

TEST(StatusDetails, BrokenBytesAreRefused) {
  EXPECT_FALSE(decode("\x08"));                      // Tag without a value.
  EXPECT_FALSE(decode(std::string("\x00\x01", 2)));  // Field number 0.
  EXPECT_FALSE(decode("\x1a\x7f"));                  // Longer than what follows.
  EXPECT_FALSE(decode("\x0b\x0c"));                  // A group.
  EXPECT_FALSE(decode(std::string(11, '\xff')));     // An endless varint.
  EXPECT_FALSE(decode("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));  // A size of 2^64 - 1.
  EXPECT_FALSE(decode("\x1a\x02\x0a\x7f"));                              // A broken Any.
}

}  // namespace
}  // namespace plugind::wire
