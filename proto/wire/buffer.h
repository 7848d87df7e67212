// Byte queues that share their memory: what is received for one stream and what waits to be sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace plugind::wire {

/// Memory that several slices may share.  Counted without atomics: one thread at a time.
struct Block {
  std::uint32_t references;
  std::uint32_t capacity;
  std::uint32_t used;
  std::uint8_t* data() { return reinterpret_cast<std::uint8_t*>(this + 1); }

  /// Null when memory is short.
  static Block* allocate(std::size_t capacity);
  static void retain(Block* block) { ++block->references; }
  static void release(Block* block);
};

/// A view of bytes for the caller's scatter/gather write.
struct Slice {
  const std::uint8_t* data;
  std::size_t size;
};

/// A first-in, first-out queue of bytes.  Small appends share blocks; moving bytes from one queue
/// to another shares memory instead of copying when the piece is large.
class ByteQueue {
 public:
  ByteQueue() = default;
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;
  ByteQueue(ByteQueue&& other) noexcept { swap(other); }
  ByteQueue& operator=(ByteQueue&& other) noexcept {
    swap(other);
    return *this;
  }
  ~ByteQueue() { clear(); }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void clear();
  void swap(ByteQueue& other) noexcept;

  /// Copies.  False when memory is short; the queue is then unchanged.
  bool append(const void* data, std::size_t size);
  /// Moves the first `size` (at most size()) bytes to the end of `to`.
  bool move_to(ByteQueue& to, std::size_t size);
  /// Fills at most `max` slices with the bytes from the front; returns how many.
  std::size_t peek(Slice* slices, std::size_t max) const;
  /// Copies the first `size` bytes without taking them.  `size` must be at most size().
  void copy_out(void* to, std::size_t size) const;
  /// Drops the first `size` (at most size()) bytes.
  void pop(std::size_t size);

 private:
  struct Piece {
    Block* block;
    std::uint32_t offset;
    std::uint32_t size;
  };
  bool push(Piece piece);
  Piece& at(std::size_t index) { return pieces_[(first_ + index) & (capacity_ - 1)]; }
  const Piece& at(std::size_t index) const { return pieces_[(first_ + index) & (capacity_ - 1)]; }

  Piece* pieces_ = nullptr;  // A ring; capacity_ is zero or a power of two.
  std::size_t capacity_ = 0;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t size_ = 0;
};

using Output = ByteQueue;

}  // namespace plugind::wire
