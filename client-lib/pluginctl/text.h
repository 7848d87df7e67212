// Values as people read them.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/timestamp.pb.h>

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace plugind::pluginctl {

/// As a manifest writes it: "500ms", "90s", "2m".
std::string duration_text(const google::protobuf::Duration& duration);
/// How long it has been, in one unit: "12s", "3m", "5h", "2d".
std::string age_text(const google::protobuf::Timestamp& since,
                     std::chrono::system_clock::time_point now);
/// Local time: "2026-01-31 23:59:59".
std::string time_text(const google::protobuf::Timestamp& time);
/// Local time with milliseconds: "2026-01-31 23:59:59.123".
std::string exact_time_text(const google::protobuf::Timestamp& time);
/// "512 B", "16 MiB", "1.5 GiB".
std::string size_text(std::uint64_t bytes);

/// The words of an enumerator: ("START_MODE_ON_DEMAND", "START_MODE_") is "on-demand".
std::string enum_text(std::string_view name, std::string_view prefix);

enum class Lines { kKeep, kJoin };
/// `text` without control characters that a terminal would act on: they become "\xNN".  Line ends
/// stay with kKeep and become " | " with kJoin.
std::string printable(std::string_view text, Lines lines = Lines::kJoin);

/// "500ms", "5s", "2m", "1h".  The error says what is expected.
std::expected<std::chrono::milliseconds, std::string> parse_duration(std::string_view text);
/// A duration before `now`, or a time in RFC 3339: "2026-01-31T23:59:59Z",
/// "2026-01-31T23:59:59+01:00". The error says what is expected.
std::expected<google::protobuf::Timestamp, std::string> parse_since(
    std::string_view text, std::chrono::system_clock::time_point now);

}  // namespace plugind::pluginctl
