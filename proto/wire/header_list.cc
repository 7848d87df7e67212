#include "proto/wire/header_list.h"

#include <cstdlib>
#include <cstring>

namespace plugind::wire {

HeaderList::~HeaderList() {
  std::free(entries_);
  std::free(text_);
}

bool HeaderList::add(std::string_view name, std::string_view value, bool never_index) {
  if (count_ == entry_capacity_) {
    const std::uint32_t capacity = entry_capacity_ == 0 ? 16 : entry_capacity_ * 2;
    void* grown = std::realloc(entries_, capacity * sizeof(Entry));
    if (grown == nullptr) return false;
    entries_ = static_cast<Entry*>(grown);
    entry_capacity_ = capacity;
  }
  const std::size_t needed = std::size_t{text_size_} + name.size() + value.size();
  if (needed > text_capacity_) {
    std::size_t capacity = text_capacity_ == 0 ? 512 : std::size_t{text_capacity_} * 2;
    while (capacity < needed) capacity *= 2;
    if (capacity > UINT32_MAX) return false;
    void* grown = std::realloc(text_, capacity);
    if (grown == nullptr) return false;
    text_ = static_cast<char*>(grown);
    text_capacity_ = static_cast<std::uint32_t>(capacity);
  }
  Entry& entry = entries_[count_++];
  entry.name_offset = text_size_;
  entry.name_size = static_cast<std::uint32_t>(name.size());
  if (!name.empty()) std::memcpy(text_ + text_size_, name.data(), name.size());
  text_size_ += entry.name_size;
  entry.value_offset = text_size_;
  entry.value_size = static_cast<std::uint32_t>(value.size());
  if (!value.empty()) std::memcpy(text_ + text_size_, value.data(), value.size());
  text_size_ += entry.value_size;
  entry.never_index = never_index;
  return true;
}

HeaderField HeaderList::operator[](std::size_t index) const {
  const Entry& entry = entries_[index];
  return {{text_ + entry.name_offset, entry.name_size},
          {text_ + entry.value_offset, entry.value_size},
          entry.never_index};
}

std::string_view HeaderList::get(std::string_view name) const {
  for (std::uint32_t i = 0; i < count_; ++i) {
    const HeaderField field = (*this)[i];
    if (field.name == name) return field.value;
  }
  return {};
}

void HeaderList::clear() {
  count_ = 0;
  text_size_ = 0;
}

void HeaderList::swap(HeaderList& other) noexcept {
  std::swap(entries_, other.entries_);
  std::swap(count_, other.count_);
  std::swap(entry_capacity_, other.entry_capacity_);
  std::swap(text_, other.text_);
  std::swap(text_size_, other.text_size_);
  std::swap(text_capacity_, other.text_capacity_);
}

}  // namespace plugind::wire
