#include "daemon/error.h"

namespace plugind {

std::string_view reason_name(Reason reason) {
  switch (reason) {
#define X(name, wire, status, text) \
  case Reason::k##name:             \
    return wire;
    PLUGIND_REASONS(X)
#undef X
  }
  return "INTERNAL";
}

StatusCode reason_status(Reason reason) {
  switch (reason) {
#define X(name, wire, status, text) \
  case Reason::k##name:             \
    return StatusCode::k##status;
    PLUGIND_REASONS(X)
#undef X
  }
  return StatusCode::kInternal;
}

}  // namespace plugind
