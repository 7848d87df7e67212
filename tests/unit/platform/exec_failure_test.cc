// Each way in which a command cannot be run, as the real kernel refuses it.
#include <elf.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>

#include "process_test.h"

namespace plugind::platform {
namespace {

class ExecFailureTest : public ProcessTest {
 protected:
  std::string write(const std::string& name, const std::string& content, mode_t mode = 0755) {
    const std::string path = directory_.path() / name;
    std::ofstream(path) << content;
    ::chmod(path.c_str(), mode);
    return path;
  }

  /// The error of starting `path`; a success is a failure of the test.
  Error failure(const std::string& path) {
    SpawnRequest request = child("exit", {"0"});
    request.executable = path;
    const auto process = spawn(*trees_, std::move(request));
    if (!process) return process.error();
    ADD_FAILURE() << path << " was started";
    return {};
  }
  void expect(const std::string& path, Reason reason, const std::string& words) {
    const Error error = failure(path);
    EXPECT_EQ(error.reason, reason) << error.message;
    EXPECT_NE(error.message.find(path), std::string::npos) << error.message;
    EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
  }

  TemporaryDirectory directory_;
};
INSTANTIATE_TEST_SUITE_P(Keeping, ExecFailureTest, testing::Values(TreeKeeping::kSweepOnly),
                         keeping_name);

TEST_P(ExecFailureTest, Missing) {
  expect(directory_.path() / "kv", Reason::kExecutableMissing, "build or install the plugin");
  expect(write("file", "") + "/kv", Reason::kExecutableMissing, "does not exist");
  const std::string link = directory_.path() / "link";
  std::filesystem::create_symlink("nowhere", link);
  expect(link, Reason::kExecutableMissing, "symbolic link");
}

TEST_P(ExecFailureTest, Permission) {
  expect(write("data", "#!/bin/sh\n", 0644), Reason::kExecutableUnusable, "chmod +x");
  expect(directory_.path(), Reason::kExecutableUnusable, "is a directory");
}

TEST_P(ExecFailureTest, Scripts) {
  expect(write("noexist", "#!/opt/python9 -u\n"), Reason::kExecutableUnusable,
         "the interpreter /opt/python9, which does not exist");
  expect(write("crlf", "#!/bin/sh\r\necho\r\n"), Reason::kExecutableUnusable, "carriage return");
  expect(write("plain", "echo hello\n"), Reason::kExecutableUnusable, "#! line");
  expect(write("empty", ""), Reason::kExecutableUnusable, "empty file");
  const std::string interpreter = write("interpreter", "#!/bin/sh\n", 0644);
  expect(write("denied", "#!" + interpreter + "\n"), Reason::kExecutableUnusable,
         "chmod +x " + interpreter);
}

TEST_P(ExecFailureTest, ForeignFormats) {
  expect(write("windows.exe", std::string("MZ\x90\0", 4)), Reason::kExecutableUnusable,
         "built for Windows");
  expect(write("macos", "\xcf\xfa\xed\xfe"), Reason::kExecutableUnusable, "built for macOS");
}

Elf64_Half own_machine() {
  Elf64_Ehdr elf{};
  std::ifstream(own_executable(), std::ios::binary)
      .read(reinterpret_cast<char*>(&elf), sizeof(elf));
  return elf.e_machine;
}

/// This test's own executable, changed.
std::string changed_executable(const std::function<void(std::string&)>& change) {
  std::ifstream file(own_executable(), std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(file), {});
  change(content);
  return content;
}

TEST_P(ExecFailureTest, ForeignMachines) {
  const auto for_machine = [](Elf64_Half machine, unsigned char data) {
    return changed_executable([&](std::string& content) {
      if (data == ELFDATA2MSB) {
        machine = static_cast<Elf64_Half>(machine << 8 | machine >> 8);
        content[EI_DATA] = static_cast<char>(data);
      }
      std::memcpy(content.data() + offsetof(Elf64_Ehdr, e_machine), &machine, sizeof(machine));
    });
  };
  const Elf64_Half foreign = own_machine() == EM_X86_64 ? EM_AARCH64 : EM_X86_64;
  const std::string name = foreign == EM_AARCH64 ? "aarch64" : "x86_64";
  expect(write("foreign", for_machine(foreign, ELFDATA2LSB)), Reason::kExecutableUnusable,
         "is built for " + name + ", this machine is ");
  expect(write("s390x", for_machine(EM_S390, ELFDATA2MSB)), Reason::kExecutableUnusable,
         "is built for s390x");
}

TEST_P(ExecFailureTest, MissingLoader) {
  const std::string content = changed_executable([](std::string& text) {
    Elf64_Ehdr elf;
    std::memcpy(&elf, text.data(), sizeof(elf));
    for (int i = 0; i < elf.e_phnum; ++i) {
      Elf64_Phdr program;
      std::memcpy(&program, text.data() + elf.e_phoff + i * sizeof(program), sizeof(program));
      if (program.p_type == PT_INTERP) text.replace(program.p_offset, 8, "/lib/ld0");
    }
  });
  expect(write("musl", content), Reason::kExecutableUnusable, "needs the loader /lib/ld0");
}

TEST_P(ExecFailureTest, WorkingDirectory) {
  SpawnRequest request = child("exit", {"0"});
  request.working_directory = directory_.path() / "absent";
  const auto process = spawn(*trees_, std::move(request));
  ASSERT_FALSE(process);
  EXPECT_EQ(process.error().reason, Reason::kSpawnFailed);
  EXPECT_NE(process.error().message.find("absent"), std::string::npos) << process.error().message;
}

}  // namespace
}  // namespace plugind::platform
