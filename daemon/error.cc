#include "daemon/error.h"

namespace plugind {

Error make_error(Reason reason, std::string what, std::string_view remedy, std::string_view joint) {
  if (!remedy.empty()) what.append(joint).append(remedy);
  return {reason, std::move(what), {}, std::string(remedy)};
}

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
