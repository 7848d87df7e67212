// The parser behind manifest.h, with what only the loader of a directory needs besides.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugin/manifest.h"

namespace plugind::plugin {

/// A manifest larger than this is refused unread.
inline constexpr std::size_t kMaxManifestBytes = 1 << 20;

/// One mistake: where and what.
struct Mistake {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string text;
};

struct ParsedManifest {
  Manifest manifest;
  std::uint32_t name_line = 0, name_column = 0;  ///< Where its name stands.
};

/// All mistakes, in the order of their lines, or the manifest.
std::expected<ParsedManifest, std::vector<Mistake>> parse_manifest_text(
    std::string_view text, const std::filesystem::path& file, const AccountLookup& accounts = {});

/// "FILE:LINE:COLUMN: TEXT".
std::string describe(const Mistake& mistake, const std::filesystem::path& file);

/// The candidate that `text` is most likely a misspelling of; "" if none is near.
std::string_view nearest(std::string_view text, const std::vector<std::string_view>& candidates);

}  // namespace plugind::plugin
