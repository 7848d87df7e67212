// Reads what a session sends, and checks what RFC 9113 asks of a sender.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "proto/wire/session.h"
#include "tests/fuzz/input.h"

namespace plugind::fuzz {

/// The byte at a place of a stream's body, as the targets fill bodies.
inline std::uint8_t body_byte(wire::StreamId stream, std::uint64_t place) {
  return static_cast<std::uint8_t>(place * 7 + place / 251 + static_cast<std::uint64_t>(stream));
}

class SentFrames {
 public:
  explicit SentFrames(wire::Role role)
      : preface_left_(role == wire::Role::kClient ? kPreface.size() : 0) {}

  void feed(std::string_view bytes) {
    rest_ += bytes;
    std::string_view rest = rest_;
    if (preface_left_ > 0) {
      if (rest.size() < preface_left_) return;
      REQUIRE(rest.starts_with(kPreface));
      rest.remove_prefix(preface_left_);
      preface_left_ = 0;
    }
    while (rest.size() >= kHeader) {
      const std::size_t size = number(rest, 3);
      REQUIRE(size <= kLargestFrame);
      if (rest.size() < kHeader + size) break;
      const auto stream = static_cast<wire::StreamId>(number(rest.substr(5), 4));
      on_frame(static_cast<std::uint8_t>(rest[3]), static_cast<std::uint8_t>(rest[4]), stream,
               rest.substr(kHeader, size));
      rest.remove_prefix(kHeader + size);
    }
    rest_.erase(0, rest_.size() - rest.size());
  }

  bool is_between_frames() const { return rest_.empty(); }
  /// What WINDOW_UPDATE frames gave the peer for a stream, or with 0 for the whole connection.
  std::uint64_t window_given(wire::StreamId id) const {
    const auto given = window_given_.find(id);
    return given == window_given_.end() ? 0 : given->second;
  }
  /// Body bytes of all streams.
  std::uint64_t body_size() const { return body_size_; }
  bool said_goaway() const { return said_goaway_; }

 private:
  static constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  static constexpr std::size_t kHeader = 9;
  static constexpr std::size_t kLargestFrame = 64 << 10;
  enum Type {
    kData,
    kHeaders,
    kPriority,
    kReset,
    kSettings,
    kPush,
    kPing,
    kGoaway,
    kWindow,
    kMore
  };
  static constexpr std::uint8_t kEndStream = 1, kEndHeaders = 4;
  struct Stream {
    bool opened = false, ended = false, reset = false;
    std::uint64_t body = 0;
  };

  static std::uint32_t number(std::string_view bytes, std::size_t size) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
    return value;
  }

  void on_frame(std::uint8_t type, std::uint8_t flags, wire::StreamId id,
                std::string_view payload) {
    REQUIRE(settings_sent_ || type == kSettings);
    REQUIRE((in_block_of_ != 0) == (type == kMore));
    switch (type) {
      case kData: {
        Stream& stream = streams_[id];
        REQUIRE(stream.opened && !stream.ended && !stream.reset);
        for (const char c : payload) {
          REQUIRE(static_cast<std::uint8_t>(c) == body_byte(id, stream.body));
          ++stream.body;
        }
        body_size_ += payload.size();
        stream.ended = (flags & kEndStream) != 0;
        break;
      }
      case kHeaders: {
        Stream& stream = streams_[id];
        REQUIRE(id > 0 && !stream.ended && !stream.reset);
        stream.opened = true;
        stream.ended = (flags & kEndStream) != 0;
        if ((flags & kEndHeaders) == 0) in_block_of_ = id;
        break;
      }
      case kMore:
        REQUIRE(id == in_block_of_);
        if ((flags & kEndHeaders) != 0) in_block_of_ = 0;
        break;
      case kReset:
        REQUIRE(id > 0 && payload.size() == 4);
        streams_[id].reset = true;
        break;
      case kSettings:
        REQUIRE(id == 0);
        settings_sent_ = true;
        break;
      case kPing:
        REQUIRE(id == 0 && payload.size() == 8);
        break;
      case kGoaway:
        REQUIRE(id == 0 && payload.size() >= 8);
        said_goaway_ = true;
        break;
      case kWindow: {
        REQUIRE(payload.size() == 4);
        const std::uint32_t given = number(payload, 4);
        REQUIRE(given > 0 && given <= INT32_MAX);
        window_given_[id] += given;
        break;
      }
      default:
        REQUIRE(!"a frame that this code never sends");
    }
  }

  std::size_t preface_left_;
  std::string rest_;
  std::map<wire::StreamId, Stream> streams_;
  wire::StreamId in_block_of_ = 0;
  bool settings_sent_ = false;
  bool said_goaway_ = false;
  std::map<wire::StreamId, std::uint64_t> window_given_;
  std::uint64_t body_size_ = 0;
};

}  // namespace plugind::fuzz
