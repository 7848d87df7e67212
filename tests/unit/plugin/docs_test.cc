// What the documentation says in tables is what the code says.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "daemon/plugin/instance_states.h"
#include "daemon/plugin/manifest_keys.h"

namespace plugind::plugin {
namespace {

/// Expects `table` between the lines "<!-- generated: NAME -->" and "<!-- end of generated -->".
void expect_table(const std::string& page_name, const std::string& name, const std::string& table) {
  const std::string kBegin = "<!-- generated: " + name + " -->\n";
  const std::string kEnd = "<!-- end of generated -->\n";
  const std::string path = std::string(PLUGIND_SOURCE_ROOT) + "/docs/" + page_name;
  std::ifstream in(path);
  const std::string page((std::istreambuf_iterator<char>(in)), {});
  const std::size_t begin = page.find(kBegin);
  const std::size_t end = page.find(kEnd, begin);
  ASSERT_TRUE(begin != page.npos && end != page.npos)
      << path << " lacks the lines " << kBegin << " and " << kEnd;
  const std::string expected = page.substr(0, begin) + kBegin + table + page.substr(end);
  if (std::getenv("PLUGIND_UPDATE_DOCS")) std::ofstream(path) << expected;
  std::ifstream again(path);
  const std::string current((std::istreambuf_iterator<char>(again)), {});
  EXPECT_TRUE(current == expected)
      << path << " is not what daemon/plugin says.\n"
      << "Regenerate it: PLUGIND_UPDATE_DOCS=1 meson test -C build unit-plugin";
}

TEST(DocsTest, TheTableOfManifestKeysIsCurrent) {
  expect_table("manifest.md", "the keys", manifest_key_table());
}

TEST(DocsTest, TheTablesOfTheKeysInListsAreCurrent) {
  expect_table("manifest.md", "the keys of a requirement", item_key_table(requirement_keys()));
  expect_table("manifest.md", "the keys of a step", item_key_table(stop_step_keys()));
}

template <typename Keys>
void expect_described(const Keys& keys) {
  EXPECT_FALSE(std::empty(keys));
  for (const auto& key : keys) {
    EXPECT_FALSE(key.example.empty()) << key.name;
    EXPECT_TRUE(key.doc.ends_with('.')) << key.name << " has no sentence for docs/manifest.md";
    // Nobody would ever get it.
    EXPECT_FALSE(key.required && !key.default_value.empty()) << key.name;
  }
}

TEST(DocsTest, EveryKeyHasAnExampleAndASentence) {
  expect_described(manifest_keys());
  expect_described(requirement_keys());
  expect_described(stop_step_keys());
}

TEST(DocsTest, TheTableOfStatesIsCurrent) {
  expect_table("lifecycle.md", "the states", instance_states_text());
  expect_table("lifecycle.md", "the states of a plugin", plugin_states_text());
}

}  // namespace
}  // namespace plugind::plugin
