// The keys of the tables in a manifest's lists are read as docs/manifest.md, made of their tables,
// says.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugin/manifest.h"
#include "daemon/plugin/manifest_keys.h"

namespace plugind::plugin {
namespace {

struct List {
  std::string_view name;
  std::vector<ItemKey> keys;
  /// Keys that together make a whole table; each key is in one of them.
  std::vector<std::vector<std::string_view>> wholes;
};

void PrintTo(const List& list, std::ostream* out) { *out << list.name; }

class ManifestListsTest : public testing::TestWithParam<List> {
 protected:
  using Lines = std::vector<std::pair<std::string_view, std::string_view>>;

  /// A manifest with one table of the list.
  static std::expected<Manifest, Error> parse(const Lines& lines) {
    std::string text =
        "name = \"kv\"\ncommand = [\"kv\"]\n[[" + std::string(GetParam().name) + "]]\n";
    for (const auto& [key, value] : lines) {
      text += std::string(key) + " = " + std::string(value) + "\n";
    }
    return parse_manifest(text, "/kv.toml");
  }
  static Manifest parsed(const Lines& lines) {
    const auto manifest = parse(lines);
    EXPECT_TRUE(manifest) << manifest.error().message;
    return manifest ? *manifest : Manifest{};
  }
  static const ItemKey& key(std::string_view name) {
    static const ItemKey kNone{};
    const auto& keys = GetParam().keys;
    const auto found = std::ranges::find(keys, name, &ItemKey::name);
    EXPECT_TRUE(found != keys.end()) << name << " is no key of " << GetParam().name;
    return found == keys.end() ? kNone : *found;
  }
  /// The examples of these keys, but of `absent`.
  static Lines examples(const std::vector<std::string_view>& names, std::string_view absent = "") {
    Lines lines;
    for (const std::string_view name : names) {
      if (name != absent) lines.emplace_back(name, key(name).example);
    }
    return lines;
  }
};

TEST_P(ManifestListsTest, EveryKeyIsTried) {
  for (const ItemKey& key : GetParam().keys) {
    EXPECT_TRUE(std::ranges::any_of(
        GetParam().wholes,
        [&](const auto& names) { return std::ranges::find(names, key.name) != names.end(); }))
        << "add " << key.name << " to this file";
  }
}

TEST_P(ManifestListsTest, ExamplesAreValid) {
  for (const auto& names : GetParam().wholes) parsed(examples(names));
}

TEST_P(ManifestListsTest, WhatIsRequiredMustBeThere) {
  for (const auto& names : GetParam().wholes) {
    for (const std::string_view name : names) {
      if (!key(name).required) continue;
      const auto manifest = parse(examples(names, name));
      ASSERT_FALSE(manifest) << name;
      EXPECT_NE(manifest.error().message.find("." + std::string(name) + "` is missing"),
                std::string::npos)
          << manifest.error().message;
    }
  }
}

TEST_P(ManifestListsTest, DefaultsAreWhatAbsenceMeans) {
  if (std::ranges::all_of(GetParam().keys,
                          [](const ItemKey& key) { return key.default_value.empty(); })) {
    GTEST_SKIP() << "no key of it has a default";
  }
  for (const auto& names : GetParam().wholes) {
    for (const std::string_view name : names) {
      if (key(name).default_value.empty()) continue;
      Lines lines = examples(names, name);
      const Manifest without = parsed(lines);
      EXPECT_NE(parsed(examples(names)), without) << name << ": its example is its default";
      lines.emplace_back(name, key(name).default_value);
      EXPECT_EQ(parsed(lines), without) << name;
    }
  }
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(Lists, ManifestListsTest, testing::Values(
    List{"requires", requirement_keys(),
         {{"command", "version", "timeout", "hint"}, {"file", "hint"}}},
    List{"stop.steps", stop_step_keys(), {{"action", "timeout"}}}),
    [](const auto& one) { return one.param.name == "requires" ? "Requirement" : "StopStep"; });
// clang-format on

}  // namespace
}  // namespace plugind::plugin
