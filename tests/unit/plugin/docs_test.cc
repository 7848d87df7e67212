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

TEST(DocsTest, TheTableOfStatesIsCurrent) {
  expect_table("lifecycle.md", "the states", transition_table());
}

}  // namespace
}  // namespace plugind::plugin
