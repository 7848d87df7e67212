// Text from outside, made fit for a message: gRPC's and protobuf's messages are UTF-8, terminals
// and logs want no control characters.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace plugind::plugin {

/// `text` with everything that is not valid UTF-8, and every control character except tab and, if
/// `keep_newlines`, newline, written as \xNN.  At most about `max_bytes` bytes of `text` are taken;
/// what is left out is marked with "…".
std::string printable(std::string_view text, std::size_t max_bytes, bool keep_newlines = false);

}  // namespace plugind::plugin
