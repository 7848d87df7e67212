#include "proto/wire/grpc_timeout.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace plugind::wire {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

std::string format(std::int64_t nanoseconds) {
  return std::string(format_grpc_timeout(nanoseconds).view());
}

TEST(GrpcTimeout, ParsesEveryUnit) {
  EXPECT_EQ(parse_grpc_timeout("7n"), 7);
  EXPECT_EQ(parse_grpc_timeout("7u"), 7'000);
  EXPECT_EQ(parse_grpc_timeout("7m"), 7'000'000);
  EXPECT_EQ(parse_grpc_timeout("7S"), 7'000'000'000);
  EXPECT_EQ(parse_grpc_timeout("7M"), 420'000'000'000);
  EXPECT_EQ(parse_grpc_timeout("7H"), 25'200'000'000'000);
  EXPECT_EQ(parse_grpc_timeout("00000007n"), 7);
}

TEST(GrpcTimeout, SaturatesInsteadOfOverflowing) {
  EXPECT_EQ(parse_grpc_timeout("99999999H"), kMax);
  EXPECT_EQ(parse_grpc_timeout("99999999S"), 99'999'999'000'000'000);
}

TEST(GrpcTimeout, RefusesWhatIsNoTimeout) {
  for (const char* text :
       {"", "n", "7", "123456789n", "-1n", "+1n", "1.5S", " 1S", "1S ", "1s", "1h", "x1S", "1 S"}) {
    EXPECT_EQ(parse_grpc_timeout(text), std::nullopt) << text;
  }
}

TEST(GrpcTimeout, FormatsInTheFinestUnitThatFits) {
  EXPECT_EQ(format(0), "0n");
  EXPECT_EQ(format(-5), "0n");
  EXPECT_EQ(format(99'999'999), "99999999n");
  EXPECT_EQ(format(5'000'000'000), "5000000u");
  EXPECT_EQ(format(3'600'000'000'000), "3600000m");
}

TEST(GrpcTimeout, RoundsUp) {
  EXPECT_EQ(format(100'000'001), "100001u");
  EXPECT_EQ(format(99'999'999'001), "100000m");
}

TEST(GrpcTimeout, WhatIsFormattedIsNeverShorterAndParsesBack) {
  for (std::int64_t value : {std::int64_t{1}, std::int64_t{123'456'789}, std::int64_t{1} << 40,
                             std::int64_t{1} << 50, std::int64_t{1} << 60, kMax}) {
    const auto parsed = parse_grpc_timeout(format(value));
    ASSERT_TRUE(parsed.has_value()) << value;
    EXPECT_GE(*parsed, value);
    EXPECT_LE(*parsed - value, value / 1'000 + 1) << value;
  }
}

}  // namespace
}  // namespace plugind::wire
