#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "daemon/plugin/manifest.h"

namespace plugind::plugin {
namespace {

class ManifestFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "manifests-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ / name) << text;
  }
  void write_plugin(const std::string& file, const std::string& name, const std::string& version) {
    write(file, "name = \"" + name + "\"\nversion = \"" + version + "\"\ncommand = [\"./x\"]\n");
  }
  std::string mistakes() {
    auto manifests = load_manifests(directory_);
    return manifests ? "no mistake" : manifests.error().message;
  }

  std::filesystem::path directory_;
};

TEST_F(ManifestFilesTest, ReadsTomlFilesInOrderOfName) {
  write_plugin("b.toml", "two", "");
  write_plugin("a.toml", "one", "");
  write("readme.md", "not a manifest");
  write(".#c.toml", "an editor's lock");
  std::filesystem::create_directory(directory_ / "old");
  const auto manifests = load_manifests(directory_);
  ASSERT_TRUE(manifests) << manifests.error().message;
  ASSERT_EQ(manifests->size(), 2u);
  EXPECT_EQ((*manifests)[0].name, "one");
  EXPECT_EQ((*manifests)[1].name, "two");
  EXPECT_EQ((*manifests)[1].command.front(), (directory_ / "x").string());
}

TEST_F(ManifestFilesTest, AnEmptyDirectoryIsNoError) {
  const auto manifests = load_manifests(directory_);
  ASSERT_TRUE(manifests) << manifests.error().message;
  EXPECT_TRUE(manifests->empty());
}

TEST_F(ManifestFilesTest, AMissingDirectoryIsAnError) {
  const auto manifests = load_manifests(directory_ / "nowhere");
  ASSERT_FALSE(manifests);
  EXPECT_EQ(manifests.error().message, "the manifests' directory " +
                                           (directory_ / "nowhere").string() +
                                           " cannot be read: No such file or directory; create it "
                                           "or name another one");
}

TEST_F(ManifestFilesTest, ReportsTheMistakesOfAllFiles) {
  write("a.toml", "name = \"a\"\n");
  write_plugin("b.toml", "kv", "1");
  write_plugin("c.toml", "kv", "2");
  std::filesystem::create_directory(directory_ / "e.toml");
  const std::string at = directory_.string() + "/";
  EXPECT_EQ(mistakes(),
            at + "a.toml:1:1: `command` is missing; write for example command = " +
                "[\"./kv-go-grpc\", \"--verbose\"]\n" +  //
                at + "c.toml:1:1: plugin \"kv\" is in " + at +
                "b.toml already; rename one, or remove the file\n" +  //
                at + "e.toml:1:1: it is not a regular file");
}

TEST_F(ManifestFilesTest, DanglingLinksAreReported) {
  std::filesystem::create_symlink("nowhere", directory_ / "a.toml");
  EXPECT_EQ(mistakes(), directory_.string() + "/a.toml:1:1: No such file or directory");
}

TEST_F(ManifestFilesTest, LargeFilesAreRefused) {
  write("a.toml", std::string((1 << 20) + 10, '\n'));
  EXPECT_EQ(mistakes(), directory_.string() + "/a.toml:1:1: the file is larger than 1 MiB");
}

}  // namespace
}  // namespace plugind::plugin
