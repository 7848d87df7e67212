// The 5-byte prefix of each gRPC message ("Length-Prefixed-Message" in gRPC's PROTOCOL-HTTP2.md).
#pragma once

#include <cstddef>
#include <cstdint>

namespace plugind::wire {

inline constexpr std::size_t kMessagePrefixSize = 5;

/// Writes kMessagePrefixSize bytes to `to`.
void write_message_prefix(std::uint8_t* to, std::uint32_t size, bool compressed = false);

/// Walks over a stream of messages as its bytes arrive, in pieces of any size, without keeping any:
///
///   MessageScanner::Step step;
///   while ((step = scanner.next(data, size)).event != MessageScanner::Event::kNeedMore) ...
class MessageScanner {
 public:
  enum class Event {
    kNeedMore,  ///< All bytes are used up.
    kBegin,     ///< A message of `size` bytes begins; `compressed` is its flag.
    kPayload,   ///< `data`, `size`: the next bytes of the message.
    kEnd,       ///< The message is complete.
    kInvalid,   ///< The flag byte is neither 0 nor 1.  The scanner stays in this state.
  };
  struct Step {
    Event event;
    bool compressed;
    const std::uint8_t* data;
    std::size_t size;
  };

  /// Takes bytes from the front of (data, size), which it advances, up to the next event.
  Step next(const std::uint8_t*& data, std::size_t& size);
  /// No message has begun and not ended: a good place for the stream to end.
  bool is_between_messages() const { return state_ == State::kPrefix && prefix_size_ == 0; }
  /// The bytes of a prefix that is not complete yet; fewer than kMessagePrefixSize, mostly none.
  const std::uint8_t* partial_prefix() const { return prefix_; }
  std::size_t partial_prefix_size() const { return state_ == State::kPrefix ? prefix_size_ : 0; }

 private:
  enum class State : std::uint8_t { kPrefix, kPayload, kInvalid };
  State state_ = State::kPrefix;
  std::uint8_t prefix_size_ = 0;
  std::uint8_t prefix_[kMessagePrefixSize] = {};
  std::uint32_t left_ = 0;
};

}  // namespace plugind::wire
