// The tables of docs/manifest.md, made of those of the keys.
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "daemon/plugin/manifest_keys.h"

namespace plugind::plugin {
namespace {

constexpr std::string_view kHead =
    "| key | value | default | example | meaning |\n"
    "| --- | --- | --- | --- | --- |\n";

// "`a`, `b`".
std::string join_words(const std::vector<std::string_view>& words) {
  std::string text;
  for (std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += "`" + std::string(word) + "`";
  }
  return text;
}

std::string range(std::string_view min, std::string_view max) {
  return ", " + std::string(min) + " to " + std::string(max);
}

struct DescribeKind {
  std::string operator()(const TextKey&) const { return "text"; }
  std::string operator()(const ChoiceKey& key) const { return "one of " + join_words(key.words); }
  std::string operator()(const DurationKey& key) const {
    return "duration" + range(key.min, key.max);
  }
  std::string operator()(const SizeKey& key) const { return "size" + range(key.min, key.max); }
  std::string operator()(const CountKey& key) const {
    return "number" + range(std::to_string(key.min), std::to_string(key.max));
  }
  std::string operator()(const FlagKey&) const { return "`true` or `false`"; }
  std::string operator()(const PercentKey& key) const {
    return "percentage" + range(std::to_string(key.min) + "%", std::to_string(key.max) + "%");
  }
  std::string operator()(const ModeKey&) const { return "octal number as text"; }
  std::string operator()(const RunAsKey&) const { return "name or number"; }
  std::string operator()(const TextListKey&) const { return "list of text"; }
  std::string operator()(const CountListKey&) const { return "list of numbers"; }
  std::string operator()(const AccountListKey&) const { return "list of names and numbers"; }
  std::string operator()(const TextTableKey&) const { return "table of text"; }
  std::string operator()(const RequirementsKey&) const { return "list of tables"; }
  std::string operator()(const StopStepsKey&) const { return "list of tables"; }
};

// Either kind of key has the same columns.
template <typename Key>
std::string row(const Key& key, const std::string& value) {
  const std::string fallback = key.required ? "required"
                               : key.default_value.empty()
                                   ? "–"
                                   : "`" + std::string(key.default_value) + "`";
  return "| `" + std::string(key.name) + "` | " + value + " | " + fallback + " | `" +
         std::string(key.example) + "` | " + std::string(key.doc) + " |\n";
}

}  // namespace

std::string manifest_key_table() {
  std::string text(kHead);
  for (const ManifestKey& key : manifest_keys()) {
    text += row(key, std::visit(DescribeKind{}, key.kind));
  }
  return text;
}

std::string item_key_table(std::span<const ItemKey> keys) {
  std::string text(kHead);
  for (const ItemKey& key : keys) {
    text += row(key, key.value + (key.min.empty() ? "" : range(key.min, key.max)));
  }
  return text;
}

}  // namespace plugind::plugin
