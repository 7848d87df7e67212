// toml++, made safe for text that nobody has looked at.  Include this instead of the library.
#pragma once

#include <expected>
#include <string_view>

#include "daemon/plugin/manifest_parser.h"

namespace plugind::plugin::toml_guard {
/// toml++ 3.3 asserts what a file can violate: "[=]" is enough.  An assertion that fails throws, in
/// every build type, and parse_toml() makes a mistake of it.
[[noreturn]] void give_up();
}  // namespace plugind::plugin::toml_guard

#undef NDEBUG
#define TOML_ASSERT(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::plugind::plugin::toml_guard::give_up())
// Nesting is bounded: the library's trees are taken down recursively.
#define TOML_MAX_NESTED_VALUES 16
#define TOML_EXCEPTIONS 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace plugind::plugin {

/// The document, or its first mistake.
std::expected<toml::table, Mistake> parse_toml(std::string_view text);

}  // namespace plugind::plugin
