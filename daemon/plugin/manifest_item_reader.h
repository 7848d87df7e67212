// Reads the tables of a manifest's list by the list's own table of keys.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugin/manifest_keys.h"
#include "daemon/plugin/manifest_parser.h"
#include "daemon/plugin/toml_text.h"

namespace plugind::plugin {

/// A key, and the member of `Reader` that reads it.
template <typename Reader>
struct ItemKeyReader {
  ItemKey key;
  void (Reader::*read)(const ItemKey&, const toml::node&);
};

/// The keys alone.
template <typename Reader>
std::vector<ItemKey> keys_of(std::span<const ItemKeyReader<Reader>> readers) {
  std::vector<ItemKey> keys;
  for (const ItemKeyReader<Reader>& one : readers) keys.push_back(one.key);
  return keys;
}

/// What the readers of all lists have in common.
class ItemReader {
 protected:
  /// `list` is what it is called in a manifest, "stop.steps", and outlives this, as `mistakes`
  /// does.
  ItemReader(std::string_view list, std::vector<Mistake>& mistakes)
      : list_(list), mistakes_(mistakes) {}

  /// Has `self` read the keys that `readers` know.  Any other one is a mistake, and so is a
  /// required one that is missing.
  template <typename Reader>
  void read_keys(Reader& self, std::span<const ItemKeyReader<Reader>> readers,
                 const toml::table& table) {
    for (const auto& [name, node] : table) {
      const ItemKeyReader<Reader>* known = nullptr;
      for (const ItemKeyReader<Reader>& one : readers) {
        if (one.key.name == name.str()) known = &one;
      }
      if (known) {
        (self.*known->read)(known->key, node);
      } else {
        unknown(name, keys_of(readers));
      }
    }
    for (const ItemKeyReader<Reader>& one : readers) {
      if (one.key.required && !table.contains(one.key.name)) missing(one.key, table);
    }
  }

  /// Sets `field` to the duration that `text`, the value of `node`, gives, if the key allows it.
  void set_duration(const ItemKey& key, const toml::node& node, std::string_view text,
                    std::chrono::milliseconds& field);
  /// "`stop.steps.timeout`".
  std::string in_ticks(std::string_view name) const;
  void mistake(const toml::source_region& where, std::string what);

 private:
  void missing(const ItemKey& key, const toml::table& table);
  void unknown(const toml::key& name, const std::vector<ItemKey>& keys);

  std::string_view list_;
  std::vector<Mistake>& mistakes_;
};

}  // namespace plugind::plugin
