// docs/dialects.md lists the variables that plugins inherit, and its manifests are valid.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "daemon/dialect/environment.h"
#include "daemon/plugin/manifest.h"

namespace plugind::dialect {
namespace {

constexpr std::string_view kBegin = "<!-- generated: inherited variables -->\n";
constexpr std::string_view kEnd = "<!-- end of generated -->\n";

std::string read(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string inherited_list() {
  std::string text, line = "  ";
  for (const char* name : inherited_names()) {
    const std::string item = " `" + std::string(name) + "`";
    if (line.size() + item.size() > 98) {
      text += line + "\n";
      line = "  ";
    }
    line += item;
  }
  return text + line + "\n";
}

TEST(DialectsDocsTest, TheInheritedVariablesAreCurrent) {
  const std::string path = std::string(PLUGIND_SOURCE_ROOT) + "/docs/dialects.md";
  const std::string page = read(path);
  const std::size_t begin = page.find(kBegin);
  const std::size_t end = page.find(kEnd);
  ASSERT_TRUE(begin != page.npos && end != page.npos && begin < end)
      << path << " lacks the lines " << kBegin << " and " << kEnd;
  const std::string expected =
      page.substr(0, begin) + std::string(kBegin) + inherited_list() + page.substr(end);
  if (std::getenv("PLUGIND_UPDATE_DOCS")) std::ofstream(path) << expected;
  EXPECT_TRUE(read(path) == expected)
      << path << " is not what daemon/dialect/environment.cc says.\n"
      << "Regenerate it: PLUGIND_UPDATE_DOCS=1 meson test -C build unit-dialect";
}

class DocsManifestTest : public testing::TestWithParam<const char*> {};

TEST_P(DocsManifestTest, ItsManifestsAreValid) {
  const std::string page = read(std::string(PLUGIND_SOURCE_ROOT) + "/docs/" + GetParam());
  constexpr std::string_view kFence = "```toml\n";
  int count = 0;
  for (std::size_t at = page.find(kFence); at != page.npos; at = page.find(kFence, at)) {
    at += kFence.size();
    const std::string text = page.substr(at, page.find("```", at) - at);
    // Users and groups of the reader's system.
    const auto anybody = [](const std::string&) {
      return std::expected<std::uint32_t, std::string>(1);
    };
    const auto manifest =
        plugin::parse_manifest(text, "/docs/example.toml", {.user = anybody, .group = anybody});
    EXPECT_TRUE(manifest) << manifest.error().message << "\n" << text;
    ++count;
  }
  EXPECT_GT(count, 0);
}

INSTANTIATE_TEST_SUITE_P(Pages, DocsManifestTest, testing::Values("dialects.md", "manifest.md"));

}  // namespace
}  // namespace plugind::dialect
