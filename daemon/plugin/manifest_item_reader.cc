#include "daemon/plugin/manifest_item_reader.h"

#include <utility>

#include "daemon/plugin/printable.h"

namespace plugind::plugin {

void ItemReader::set_duration(const ItemKey& key, const toml::node& node, std::string_view text,
                              std::chrono::milliseconds& field) {
  const auto value = parse_duration(printable(text, 80));
  if (!value) {
    mistake(node.source(), in_ticks(key.name) + ": " + value.error().message);
  } else if (*value < *parse_duration(key.min) || *value > *parse_duration(key.max)) {
    mistake(node.source(), in_ticks(key.name) + " must be from " + std::string(key.min) + " to " +
                               std::string(key.max) + ", not " + std::string(text));
  } else {
    field = *value;
  }
}

std::string ItemReader::in_ticks(std::string_view name) const {
  return "`" + std::string(list_) + "." + std::string(name) + "`";
}

void ItemReader::mistake(const toml::source_region& where, std::string what) {
  mistakes_.push_back({where.begin.line, where.begin.column, std::move(what)});
}

void ItemReader::missing(const ItemKey& key, const toml::table& table) {
  mistake(table.source(), in_ticks(key.name) + " is missing; write for example " +
                              std::string(key.name) + " = " + std::string(key.example));
}

void ItemReader::unknown(const toml::key& name, const std::vector<ItemKey>& keys) {
  std::vector<std::string_view> names;
  for (const ItemKey& key : keys) names.push_back(key.name);
  std::string what = "unknown key " + in_ticks(printable(name.str(), 80));
  if (const std::string_view near = nearest(name.str(), names); !near.empty()) {
    what += "; did you mean `" + std::string(near) + "`?";
  }
  mistake(name.source(), std::move(what));
}

}  // namespace plugind::plugin
