// What is told of a program file without running it.
#include "daemon/platform/program_file.h"

#include <fstream>

#include "test_support.h"

namespace plugind::platform {
namespace {

class ProgramFileTest : public testing::Test {
 protected:
  ProgramHeader header(const std::string& content) {
    const std::string path = directory_.path() / "file";
    std::ofstream(path) << content;
    const auto header = read_program_header(path);
    EXPECT_TRUE(header);
    return header.value_or(ProgramHeader{});
  }
  TemporaryDirectory directory_;
};

TEST_F(ProgramFileTest, TheFirstLineOfAScript) {
  const ProgramHeader env = header("#! /usr/bin/env  -S python3 -u \nimport os\n");
  EXPECT_EQ(env.kind, ProgramHeader::Kind::kScript);
  EXPECT_EQ(env.interpreter, "/usr/bin/env");
  EXPECT_EQ(env.interpreter_argument, "-S python3 -u");
  EXPECT_EQ(header("#!/bin/sh\n").interpreter_argument, "");
  EXPECT_EQ(header("#!/bin/sh").interpreter, "/bin/sh");
  EXPECT_EQ(header("#!").interpreter, "");
  EXPECT_EQ(header("").kind, ProgramHeader::Kind::kEmpty);
  EXPECT_FALSE(read_program_header(directory_.path() / "missing"));
}

TEST_F(ProgramFileTest, ThisProgramHasALoaderThatLists) {
  const auto question = library_question(own_executable());
  ASSERT_TRUE(question);
  EXPECT_EQ(question->arguments, (std::vector<std::string>{"--list", own_executable()}));
  EXPECT_EQ(question->executable, read_program_header(own_executable())->interpreter);
}

TEST_F(ProgramFileTest, OnlyALoaderIsAsked) {
  EXPECT_FALSE(library_question("/nonexistent"));
  std::ifstream file(own_executable(), std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(file), {});
  const std::string loader = read_program_header(own_executable())->interpreter;
  // A program that names another program where its loader should be.
  const std::size_t name = content.find(loader) + loader.rfind("/ld") + 1;
  content.replace(name, 2, "my");
  std::ofstream(directory_.path() / "odd") << content;
  EXPECT_NE(read_program_header(directory_.path() / "odd")->interpreter, loader);
  EXPECT_FALSE(library_question(directory_.path() / "odd"));
}

TEST(LibraryAnswerTest, TheLoadersWordsAreKept) {
  const auto good = read_library_answer(true, "\tlibc.so.6 => /lib/libc.so.6 (0x7f)\n", "");
  EXPECT_EQ(good.missing + good.warnings, "");
  EXPECT_EQ(
      read_library_answer(false, "", "./m: error while loading: libx.so: no such file\n").missing,
      "./m: error while loading: libx.so: no such file");
  EXPECT_EQ(read_library_answer(false, "", "").missing, "its loader gave no reason");
  // glibc goes on listing when only a version is not there.
  EXPECT_EQ(read_library_answer(true, "", "./m: libc.so.6: version `X' not found (required by m)\n")
                .missing,
            "./m: libc.so.6: version `X' not found (required by m)");
  EXPECT_EQ(
      read_library_answer(true, "\tliba.so => not found\n\tlibb.so => not found\n", "").missing,
      "liba.so => not found; libb.so => not found");
  const auto preload = read_library_answer(true, "", "ERROR: ld.so: object 'x' ignored.\n");
  EXPECT_EQ(preload.missing, "");
  EXPECT_EQ(preload.warnings, "ERROR: ld.so: object 'x' ignored.");
}

}  // namespace
}  // namespace plugind::platform
