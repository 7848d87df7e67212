// Whatever a manifest holds, it is parsed or has mistakes, and each mistake has a place in it.
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "daemon/plugin/manifest_parser.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = plugind::plugin::parse_manifest_text(text, "/plugins.d/x.toml");
  if (parsed) {
    if (parsed->manifest.name.empty() || parsed->manifest.command.empty()) std::abort();
    return 0;
  }
  if (parsed.error().empty()) std::abort();
  const auto lines = static_cast<std::uint32_t>(std::ranges::count(text, '\n') + 1);
  for (const plugind::plugin::Mistake& mistake : parsed.error()) {
    if (mistake.line < 1 || mistake.line > lines || mistake.column < 1) std::abort();
    if (mistake.text.empty()) std::abort();
  }
  return 0;
}
