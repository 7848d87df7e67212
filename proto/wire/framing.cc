#include "proto/wire/framing.h"

#include <cstring>

namespace plugind::wire {

void write_message_prefix(std::uint8_t* to, std::uint32_t size, bool compressed) {
  to[0] = compressed ? 1 : 0;
  to[1] = static_cast<std::uint8_t>(size >> 24);
  to[2] = static_cast<std::uint8_t>(size >> 16);
  to[3] = static_cast<std::uint8_t>(size >> 8);
  to[4] = static_cast<std::uint8_t>(size);
}

MessageScanner::Step MessageScanner::next(const std::uint8_t*& data, std::size_t& size) {
  if (state_ == State::kInvalid) return {Event::kInvalid, false, nullptr, 0};
  if (state_ == State::kPayload) {
    if (left_ == 0) {
      state_ = State::kPrefix;
      return {Event::kEnd, false, nullptr, 0};
    }
    if (size == 0) return {Event::kNeedMore, false, nullptr, 0};
    const std::size_t taken = size < left_ ? size : left_;
    Step step{Event::kPayload, false, data, taken};
    data += taken;
    size -= taken;
    left_ -= static_cast<std::uint32_t>(taken);
    return step;
  }
  const std::size_t missing = kMessagePrefixSize - prefix_size_;
  const std::size_t taken = size < missing ? size : missing;
  if (taken > 0) std::memcpy(prefix_ + prefix_size_, data, taken);
  data += taken;
  size -= taken;
  prefix_size_ = static_cast<std::uint8_t>(prefix_size_ + taken);
  // The flag is judged as soon as it is there: what is not gRPC shall not wait for four more bytes.
  if (prefix_size_ > 0 && prefix_[0] > 1) {
    state_ = State::kInvalid;
    return {Event::kInvalid, false, nullptr, 0};
  }
  if (prefix_size_ < kMessagePrefixSize) return {Event::kNeedMore, false, nullptr, 0};
  prefix_size_ = 0;
  state_ = State::kPayload;
  left_ = std::uint32_t{prefix_[1]} << 24 | std::uint32_t{prefix_[2]} << 16 |
          std::uint32_t{prefix_[3]} << 8 | std::uint32_t{prefix_[4]};
  return {Event::kBegin, prefix_[0] == 1, nullptr, left_};
}

}  // namespace plugind::wire
