// Where a core is, by what the kernel's settings may say.
#include "daemon/platform/linux/core_dump.h"

#include <sys/utsname.h>

#include <fstream>

#include "test_support.h"

namespace plugind::platform {
namespace {

class CoreDumpTest : public testing::Test {
 protected:
  std::string make(const std::string& name) {
    const auto path = directory_.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "core";
    return path;
  }
  CoreDump core(const std::string& pattern, bool uses_pid = false) const {
    return core_of({1234, 1000, 100, 11, directory_.path()}, pattern, uses_pid);
  }

  TemporaryDirectory directory_;
};

TEST_F(CoreDumpTest, IsInTheWorkingDirectory) {
  const std::string file = make("core");
  EXPECT_EQ(core("core").file, file);
  EXPECT_EQ(core("core").note, "");
}

TEST_F(CoreDumpTest, HasThePidInItsNameIfTheKernelPutsItThere) {
  make("core");
  const std::string file = make("core.1234");
  EXPECT_EQ(core("core", true).file, file);
  EXPECT_EQ(core("core.%p", true).file, file);
  EXPECT_EQ(core("core.%p", false).file, file);
}

TEST_F(CoreDumpTest, HasWhatElseIsKnownInItsName) {
  utsname host{};
  ::uname(&host);
  const std::string file = make("cores/100%-1000-100-11-" + std::string(host.nodename));
  const std::string pattern = (directory_.path() / "cores/100%%-%u-%g-%s-%h").string();
  EXPECT_EQ(core(pattern).file, file);
  EXPECT_EQ(core("cores/100%%-%u-%g-%s-%h").file, file);
}

TEST_F(CoreDumpTest, IsTheNewestThatMayBeIt) {
  const std::string old = make("core.plugin.1234.1");
  const std::string file = make("core.plugin.1234.2");
  const std::string another = make("core.plugin.1235.3");
  std::filesystem::create_directory(directory_.path() / "core.plugin.1234.4");
  const auto now = std::filesystem::file_time_type::clock::now();
  std::filesystem::last_write_time(old, now - std::chrono::hours(2));
  std::filesystem::last_write_time(file, now - std::chrono::hours(1));
  std::filesystem::last_write_time(another, now);
  EXPECT_EQ(core("core.%e.%p.%t").file, file);
}

TEST_F(CoreDumpTest, IsNotAFileThatOnlyFitsAsAPattern) {
  make("coreX");
  EXPECT_EQ(core("core?").file, "");
  make("[c]ore.a");
  EXPECT_EQ(core("[c]ore.%e").file, directory_.path() / "[c]ore.a");
}

TEST_F(CoreDumpTest, IsLookedForByHandIfItIsNotFound) {
  EXPECT_EQ(core("core").file, "");
  EXPECT_EQ(core("core").note,
            "kernel.core_pattern is \"core\", below the directory that it was in");
  EXPECT_EQ(core("/nowhere/%e/core").note, "kernel.core_pattern is \"/nowhere/%e/core\"");
  make("core.a.1");
  EXPECT_EQ(core("core.%e.%p").file, "") << "that is another process";
}

TEST_F(CoreDumpTest, MayBeGivenToAProgram) {
  EXPECT_EQ(core("|/usr/lib/systemd/systemd-coredump %P %u %g").note,
            "systemd-coredump has it: `coredumpctl info 1234`");
  EXPECT_EQ(core("|/usr/share/apport/apport -p%p").note,
            "/usr/share/apport/apport has it (kernel.core_pattern)");
  EXPECT_EQ(core("@/run/cores.sock").note,
            "the socket /run/cores.sock has it (kernel.core_pattern)");
}

}  // namespace
}  // namespace plugind::platform
