// The tables of all manifest keys.  They drive the parsers and are the source of the tables in
// docs/manifest.md, so that neither can know a key that the other does not.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/plugin/manifest.h"

namespace plugind::plugin {

// What a key's value may be, and where it goes.  Each kind names the field through a function, so
// that the table is plain data.

/// Text.  `problem` says what is wrong with a value, or "".
struct TextKey {
  std::string& (*field)(Manifest&);
  std::string (*problem)(std::string_view);
};
/// One of a few words.  `set` is false for a word that is none of them.
struct ChoiceKey {
  std::vector<std::string_view> words;
  bool (*set)(Manifest&, std::string_view);
};
struct DurationKey {
  std::chrono::milliseconds& (*field)(Manifest&);
  std::string_view min, max;
};
struct SizeKey {
  std::uint64_t& (*field)(Manifest&);
  std::string_view min, max;
};
/// true or false.
struct FlagKey {
  bool& (*field)(Manifest&);
};
/// "150%": a whole number of percent.
struct PercentKey {
  std::uint32_t& (*field)(Manifest&);
  std::uint32_t min, max;
};
/// Permission bits as text of octal digits.
struct ModeKey {
  std::optional<std::uint32_t>& (*field)(Manifest&);
};
/// One user or group: who the plugin is.
struct RunAsKey {
  std::string_view noun;  ///< "user" or "group"
  const AccountLookup::Function& (*lookup)(const AccountLookup&);
};
struct CountKey {
  std::uint32_t& (*field)(Manifest&);
  std::uint32_t min, max;
};
/// An array of text.
struct TextListKey {
  std::vector<std::string>& (*field)(Manifest&);
  std::size_t min_items, max_items;
  bool unique;
  std::string (*problem)(std::string_view);
};
/// An array of whole numbers.
struct CountListKey {
  std::vector<std::uint32_t>& (*field)(Manifest&);
  std::size_t min_items, max_items;
};
/// An array of names and ids of users or groups.
struct AccountListKey {
  std::vector<Account>& (*field)(Manifest&);
  std::size_t max_items;
  std::string_view noun;  ///< "user" or "group"
  const AccountLookup::Function& (*lookup)(const AccountLookup&);
};
/// A table of text.  `problem` gets name and value.
struct TextTableKey {
  std::map<std::string, std::string>& (*field)(Manifest&);
  std::size_t max_items;
  std::string (*problem)(std::string_view, std::string_view);
};

/// An array of tables with the keys of `requirement_keys`.
struct RequirementsKey {
  std::vector<Requirement>& (*field)(Manifest&);
  std::size_t max_items;
};

/// An array of tables with the keys of `stop_step_keys`.
struct StopStepsKey {
  std::optional<std::vector<StopStep>>& (*field)(Manifest&);
  std::size_t max_items;
};

using KeyKind = std::variant<TextKey, ChoiceKey, DurationKey, SizeKey, CountKey, FlagKey,
                             PercentKey, ModeKey, RunAsKey, TextListKey, CountListKey,
                             AccountListKey, TextTableKey, RequirementsKey, StopStepsKey>;

struct ManifestKey {
  std::string_view name;  ///< Dotted, for example "start.timeout".
  KeyKind kind;
  bool required = false;
  std::string_view default_value{};  ///< As TOML; "" where there is none.
  std::string_view example{};        ///< As TOML.
  std::string_view doc{};            ///< Sentences for docs/manifest.md.
};

std::span<const ManifestKey> manifest_keys();

/// A key of the tables in a list, such as `requires`.
struct ItemKey {
  std::string_view name;          ///< Without that of the list, for example "timeout".
  std::string value;              ///< What it may be, in Markdown, for example "list of text".
  std::string_view min{}, max{};  ///< Of a duration, as a manifest has it; else "".
  bool required = false;
  std::string_view default_value{};  ///< As TOML; "" where there is none.
  std::string_view example{};        ///< As TOML.
  std::string_view doc{};            ///< Sentences for docs/manifest.md.
};

std::vector<ItemKey> requirement_keys();  ///< Of `requires`; manifest_requirement.cc has them.
std::vector<ItemKey> stop_step_keys();    ///< Of `stop.steps`; manifest_stop_step.cc has them.

/// The tables of docs/manifest.md, in Markdown.
std::string manifest_key_table();
std::string item_key_table(std::span<const ItemKey> keys);

}  // namespace plugind::plugin
