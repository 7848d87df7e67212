// A unary call on its way through one connection, or through a second one where the first refused
// it.
#pragma once

#include <cstdint>

#include "client-lib/src/connection.h"

namespace plugind::client {

struct Invocation {
  wire::HeaderList headers;
  const void* message = nullptr;
  std::size_t size = 0;
  std::int64_t timeout_ms = 0;  ///< Zero or less for none.
  Time deadline = kNever;
  Call::Listener* listener = nullptr;
  int attempts_left = 2;
  // Both are set while an attempt runs, and then are held.
  Connection* connection = nullptr;
  Call* call = nullptr;
};

}  // namespace plugind::client
