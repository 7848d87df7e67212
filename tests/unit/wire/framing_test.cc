#include "proto/wire/framing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace plugind::wire {
namespace {

using Event = MessageScanner::Event;

std::string message(std::string_view payload, bool compressed = false) {
  std::string result(kMessagePrefixSize, '?');
  write_message_prefix(reinterpret_cast<std::uint8_t*>(result.data()),
                       static_cast<std::uint32_t>(payload.size()), compressed);
  return result.append(payload);
}

// A readable trace of what the scanner reports for pieces of `step` bytes, payloads joined.
std::string scan(MessageScanner& scanner, std::string_view bytes, std::size_t step) {
  std::string trace;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const std::string_view piece = bytes.substr(at, step);
    const auto* data = reinterpret_cast<const std::uint8_t*>(piece.data());
    std::size_t size = piece.size();
    while (true) {
      const auto event = scanner.next(data, size);
      if (event.event == Event::kNeedMore) {
        EXPECT_EQ(size, 0u);
        break;
      }
      if (event.event == Event::kInvalid) return trace + "!";
      if (event.event == Event::kBegin) {
        trace += (event.compressed ? "{z" : "{") + std::to_string(event.size) + ":";
      }
      if (event.event == Event::kPayload) {
        trace.append(reinterpret_cast<const char*>(event.data), event.size);
      }
      if (event.event == Event::kEnd) trace += "}";
    }
  }
  return trace;
}

TEST(Framing, PrefixIsFlagAndBigEndianSize) {
  std::uint8_t prefix[kMessagePrefixSize];
  write_message_prefix(prefix, 0x01020304, true);
  EXPECT_EQ(std::vector<std::uint8_t>(prefix, prefix + 5),
            (std::vector<std::uint8_t>{1, 1, 2, 3, 4}));
}

TEST(Framing, ScansTheSameForPiecesOfEverySize) {
  const std::string bytes = message("hello") + message("") + message("x", true) + message("");
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    MessageScanner scanner;
    EXPECT_EQ(scan(scanner, bytes, step), "{5:hello}{0:}{z1:x}{0:}") << step;
    EXPECT_TRUE(scanner.is_between_messages());
  }
}

TEST(Framing, KnowsWhetherAMessageIsCutShort) {
  const std::string bytes = message("hello");
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    MessageScanner scanner;
    scan(scanner, bytes.substr(0, size), 3);
    EXPECT_FALSE(scanner.is_between_messages()) << size;
  }
}

TEST(Framing, AFlagOtherThanZeroOrOneIsInvalidAtOnceAndForGood) {
  MessageScanner scanner;
  EXPECT_EQ(scan(scanner, "\x02", 1), "!");
  EXPECT_EQ(scan(scanner, message("a"), 9), "!");
  EXPECT_FALSE(scanner.is_between_messages());
}

TEST(Framing, LargestSizeIsReportedUnsigned) {
  MessageScanner scanner;
  EXPECT_EQ(scan(scanner, std::string("\x00\xff\xff\xff\xff", 5), 5), "{4294967295:");
}

}  // namespace
}  // namespace plugind::wire
