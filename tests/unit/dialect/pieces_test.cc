// The small pieces that greetings are made of.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "daemon/dialect/environment.h"
#include "daemon/dialect/lines.h"
#include "daemon/dialect/protobuf.h"

namespace plugind::dialect {
namespace {

TEST(LineSplitterTest, CutsBoundsAndFinishes) {
  std::vector<std::string> lines;
  LineSplitter splitter(4, [&](std::string_view line) { lines.emplace_back(line); });
  splitter.feed("a");
  splitter.feed("b\r");
  splitter.feed("\n\nabcdefgh");
  splitter.feed("ij\nk");
  EXPECT_EQ(lines, (std::vector<std::string>{"ab", "", "abcd"}));
  splitter.finish();
  splitter.finish();
  EXPECT_EQ(lines.back(), "k");
  EXPECT_EQ(lines.size(), 4u);
}

std::string fields_of(std::string_view message) {
  std::string text;
  ProtobufReader reader(message);
  while (const auto field = reader.next()) {
    text += std::to_string(field->number) + "=" +
            (field->is_bytes ? "'" + std::string(field->bytes) + "'"
                             : std::to_string(field->number_value)) +
            " ";
  }
  return text + (reader.failed() ? "failed" : "end");
}

TEST(ProtobufReaderTest, ReadsNumbersAndBytesAndSkipsTheRest) {
  using namespace std::string_literals;
  EXPECT_EQ(fields_of(""), "end");
  EXPECT_EQ(fields_of("\x08\x96\x01\x12\x02hi"s), "1=150 2='hi' end");
  EXPECT_EQ(fields_of("\x0d\1\2\3\4\x11\1\2\3\4\5\6\7\x8\x18\x01"s), "3=1 end");
}

TEST(ProtobufReaderTest, MalformedMessagesFail) {
  using namespace std::string_literals;
  for (const std::string& bad :
       {"\x08"s, "\x08\x80"s, "\x12\x05hi"s, "\x0d\1\2"s, "\x00\x01"s, "\x0b"s,
        "\x08" + std::string(11, '\xff'), "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s}) {
    EXPECT_EQ(fields_of(bad), "failed") << ::testing::PrintToString(bad);
  }
}

TEST(ProtobufTest, EncodesAString) {
  EXPECT_EQ(encode_string_field(1, "plugin"), "\x0a\x06plugin");
  EXPECT_EQ(encode_string_field(1, std::string(200, 'x')), "\x0a\xc8\x01" + std::string(200, 'x'));
}

TEST(EnvironmentTest, OnlyListedNamesAreInherited) {
  const Variables variables = base_environment([](const char* name) -> std::optional<std::string> {
    if (std::string_view(name) == "HOME") return std::nullopt;
    return std::string("value of ") + name;
  });
  EXPECT_EQ(variables.at("PATH"), "value of PATH");
  EXPECT_EQ(variables.at("LC_ALL"), "value of LC_ALL");
  EXPECT_FALSE(variables.contains("HOME"));
  EXPECT_FALSE(variables.contains("AWS_SECRET_ACCESS_KEY"));
  EXPECT_FALSE(variables.contains("LD_PRELOAD"));
}

TEST(EnvironmentTest, TheListIsSorted) {
  EXPECT_EQ(to_list({{"B", "2"}, {"A", ""}}), (std::vector<std::string>{"A=", "B=2"}));
}

class FindProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string path = testing::TempDir() + "path-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory_ = path;
    std::filesystem::create_directories(directory_ / "first" / "tool");  // A directory is none.
    std::filesystem::create_directories(directory_ / "second");
    std::filesystem::create_directories(directory_ / "third");
    make("second", std::filesystem::perms::owner_read);
    make("third", std::filesystem::perms::owner_all);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  void make(const char* folder, std::filesystem::perms permissions) {
    std::ofstream(directory_ / folder / "tool") << "x";
    std::filesystem::permissions(directory_ / folder / "tool", permissions);
  }

  std::filesystem::path directory_;
};

TEST_F(FindProgramTest, TakesTheFirstExecutableFile) {
  plugin::Manifest manifest;
  manifest.command = {"tool"};
  const std::string d = directory_.string();
  const Variables variables{
      {"PATH", d + "/none::" + d + "/first:" + d + "/second:" + d + "/third"}};
  EXPECT_EQ(find_program(manifest, variables).value(), d + "/third/tool");
}

TEST_F(FindProgramTest, RelativeEntriesOfPathAreIgnored) {
  plugin::Manifest manifest;
  manifest.command = {"tool"};
  const std::string third = std::filesystem::relative(directory_ / "third").string();
  const auto program = find_program(manifest, {{"PATH", third}});
  ASSERT_FALSE(program);
  EXPECT_EQ(program.error().reason, Reason::kExecutableMissing);
}

TEST_F(FindProgramTest, PathsAreTakenAsTheyAre) {
  plugin::Manifest manifest;
  manifest.command = {"/no/such/tool"};
  EXPECT_EQ(find_program(manifest, {}).value(), "/no/such/tool");
}

}  // namespace
}  // namespace plugind::dialect
