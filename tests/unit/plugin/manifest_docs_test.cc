// docs/manifest.md carries the key table that the parser uses.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "daemon/plugin/manifest_keys.h"

namespace plugind::plugin {
namespace {

constexpr std::string_view kBegin = "<!-- generated: the keys -->\n";
constexpr std::string_view kEnd = "<!-- end of generated -->\n";

TEST(ManifestDocsTest, TheKeyTableIsCurrent) {
  const std::string path = std::string(PLUGIND_SOURCE_ROOT) + "/docs/manifest.md";
  std::ifstream in(path);
  const std::string page((std::istreambuf_iterator<char>(in)), {});
  const std::size_t begin = page.find(kBegin);
  const std::size_t end = page.find(kEnd);
  ASSERT_TRUE(begin != page.npos && end != page.npos && begin < end)
      << path << " lacks the lines " << kBegin << " and " << kEnd;
  const std::string expected =
      page.substr(0, begin) + std::string(kBegin) + manifest_key_table() + page.substr(end);
  if (std::getenv("PLUGIND_UPDATE_DOCS")) std::ofstream(path) << expected;
  std::ifstream again(path);
  const std::string current((std::istreambuf_iterator<char>(again)), {});
  EXPECT_TRUE(current == expected)
      << path << " is not what daemon/plugin/manifest_keys.cc says.\n"
      << "Regenerate it: PLUGIND_UPDATE_DOCS=1 meson test -C build unit-plugin";
}

}  // namespace
}  // namespace plugind::plugin
