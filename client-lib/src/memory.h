// Objects on the heap without operator new, whose ordinary form throws.
#pragma once

#include <cstdlib>
#include <new>
#include <utility>

namespace plugind::client {

/// Null when memory is short.
template <typename T, typename... Arguments>
T* create(Arguments&&... arguments) {
  void* memory = std::malloc(sizeof(T));
  return memory == nullptr ? nullptr : ::new (memory) T(std::forward<Arguments>(arguments)...);
}

template <typename T>
void destroy(T* object) {
  if (object == nullptr) return;
  object->~T();
  std::free(object);
}

}  // namespace plugind::client
