#include "proto/wire/buffer.h"

#include <cstdlib>

namespace plugind::wire {

namespace {
// Pieces up to this size are copied into the last block rather than shared: a shared piece costs a
// scatter/gather slot and keeps its whole block alive.
constexpr std::size_t kShareFrom = 2048;
constexpr std::size_t kMinBlock = 512 - sizeof(Block);
constexpr std::size_t kMaxBlock = (64u << 10) - sizeof(Block);
}  // namespace

Block* Block::allocate(std::size_t capacity) {
  auto* block = static_cast<Block*>(std::malloc(sizeof(Block) + capacity));
  if (block == nullptr) return nullptr;
  block->references = 1;
  block->capacity = static_cast<std::uint32_t>(capacity);
  block->used = 0;
  return block;
}

void Block::release(Block* block) {
  if (--block->references == 0) std::free(block);
}

void ByteQueue::clear() {
  for (std::size_t i = 0; i < count_; ++i) Block::release(at(i).block);
  std::free(pieces_);
  pieces_ = nullptr;
  capacity_ = first_ = count_ = size_ = 0;
}

void ByteQueue::swap(ByteQueue& other) noexcept {
  std::swap(pieces_, other.pieces_);
  std::swap(capacity_, other.capacity_);
  std::swap(first_, other.first_);
  std::swap(count_, other.count_);
  std::swap(size_, other.size_);
}

bool ByteQueue::push(Piece piece) {
  // pop() may have left an emptied block behind for an append; here it would only be in the way.
  if (count_ == 1 && at(0).size == 0) {
    Block::release(at(0).block);
    count_ = 0;
  }
  if (count_ == capacity_) {
    const std::size_t capacity = capacity_ == 0 ? 4 : capacity_ * 2;
    auto* pieces = static_cast<Piece*>(std::malloc(capacity * sizeof(Piece)));
    if (pieces == nullptr) return false;
    for (std::size_t i = 0; i < count_; ++i) pieces[i] = at(i);
    std::free(pieces_);
    pieces_ = pieces;
    capacity_ = capacity;
    first_ = 0;
  }
  at(count_++) = piece;
  size_ += piece.size;
  return true;
}

bool ByteQueue::append(const void* data, std::size_t size) {
  const auto* from = static_cast<const std::uint8_t*>(data);
  // The block that a large append needs is allocated before anything changes, so that a failure
  // leaves the queue as it was.
  while (size > 0) {
    Piece* last = count_ > 0 ? &at(count_ - 1) : nullptr;
    // Only the tail of a block's used part may grow, and only if nobody else grew it meanwhile.
    if (last != nullptr && last->offset + last->size == last->block->used &&
        last->block->used < last->block->capacity) {
      std::size_t room = last->block->capacity - last->block->used;
      if (room > size) room = size;
      std::memcpy(last->block->data() + last->block->used, from, room);
      last->block->used += static_cast<std::uint32_t>(room);
      last->size += static_cast<std::uint32_t>(room);
      size_ += room;
      from += room;
      size -= room;
      continue;
    }
    std::size_t capacity = size < kMinBlock ? kMinBlock : size;
    if (size_ > capacity) capacity = size_;  // A queue that grows takes larger and larger blocks.
    if (capacity > kMaxBlock) capacity = kMaxBlock;
    Block* block = Block::allocate(capacity);
    if (block == nullptr) return false;
    if (!push({block, 0, 0})) {
      Block::release(block);
      return false;
    }
  }
  return true;
}

bool ByteQueue::move_to(ByteQueue& to, std::size_t size) {
  while (size > 0) {
    Piece& front = at(0);
    const std::size_t n = front.size < size ? front.size : size;
    if (n < kShareFrom) {
      if (!to.append(front.block->data() + front.offset, n)) return false;
    } else {
      Block::retain(front.block);
      if (!to.push({front.block, front.offset, static_cast<std::uint32_t>(n)})) {
        Block::release(front.block);
        return false;
      }
    }
    pop(n);
    size -= n;
  }
  return true;
}

std::size_t ByteQueue::peek(Slice* slices, std::size_t max) const {
  if (size_ == 0) return 0;
  const std::size_t n = count_ < max ? count_ : max;
  for (std::size_t i = 0; i < n; ++i) {
    const Piece& piece = at(i);
    slices[i] = {piece.block->data() + piece.offset, piece.size};
  }
  return n;
}

void ByteQueue::copy_out(void* to, std::size_t size) const {
  auto* out = static_cast<std::uint8_t*>(to);
  for (std::size_t i = 0; size > 0; ++i) {
    const Piece& piece = at(i);
    const std::size_t n = piece.size < size ? piece.size : size;
    std::memcpy(out, piece.block->data() + piece.offset, n);
    out += n;
    size -= n;
  }
}

void ByteQueue::pop(std::size_t size) {
  while (size > 0) {
    Piece& front = at(0);
    if (size < front.size) {
      front.offset += static_cast<std::uint32_t>(size);
      front.size -= static_cast<std::uint32_t>(size);
      size_ -= size;
      return;
    }
    size -= front.size;
    size_ -= front.size;
    // The last block is kept for the next append while nobody else looks at it.
    if (count_ == 1 && front.block->references == 1) {
      front.block->used = front.offset = front.size = 0;
      if (front.block->capacity <= kMinBlock) return;
    }
    Block::release(front.block);
    first_ = (first_ + 1) & (capacity_ - 1);
    --count_;
  }
}

}  // namespace plugind::wire
