// An ordered list of header fields in one piece of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace plugind::wire {

struct HeaderField {
  std::string_view name;
  std::string_view value;
  /// HPACK "never indexed" (RFC 7541 section 6.2.3): must be kept from hop to hop.
  bool never_index;
};

class HeaderList {
 public:
  HeaderList() = default;
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  HeaderList(HeaderList&& other) noexcept { swap(other); }
  HeaderList& operator=(HeaderList&& other) noexcept {
    swap(other);
    return *this;
  }
  ~HeaderList();

  /// Copies.  False when memory is short.
  bool add(std::string_view name, std::string_view value, bool never_index = false);
  std::size_t count() const { return count_; }
  HeaderField operator[](std::size_t index) const;
  /// The first value of `name`; a null data() when there is none.
  std::string_view get(std::string_view name) const;
  bool has(std::string_view name) const { return get(name).data() != nullptr; }
  /// Forgets the fields but keeps the memory.
  void clear();
  /// Bytes of memory that it holds, with or without fields.
  std::size_t capacity() const { return text_capacity_ + entry_capacity_ * sizeof(Entry); }
  void swap(HeaderList& other) noexcept;

 private:
  struct Entry {
    std::uint32_t name_offset, name_size, value_offset, value_size;
    bool never_index;
  };
  Entry* entries_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t entry_capacity_ = 0;
  char* text_ = nullptr;
  std::uint32_t text_size_ = 0;
  std::uint32_t text_capacity_ = 0;
};

}  // namespace plugind::wire
