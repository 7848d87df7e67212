// protobuf's strings and gRPC's messages are UTF-8; what plugins print need not be.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace plugind::control {

/// `text` with every byte that is not part of well-formed UTF-8 replaced by U+FFFD.
std::string to_utf8(std::string_view text);

/// The beginning of well-formed `text`, at most `max_bytes` long, cut between characters and ended
/// by "…" (within the bound) if anything was cut.
std::string clip_utf8(std::string_view text, std::size_t max_bytes);

}  // namespace plugind::control
