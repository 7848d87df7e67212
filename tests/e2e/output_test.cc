// What plugins print, on its way to operators and into files.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

class Output : public DaemonTest {
 protected:
  testing::Run pluginctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PLUGINCTL, "--socket", directory_.socket().string()});
    return testing::run(std::move(arguments));
  }
  void start_with_files(std::vector<std::string> command = {kPlugind}) {
    start({"--log-dir", logs_.string()}, std::move(command));
  }
  std::string file(const std::string& name) const {
    std::ifstream stream(logs_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  bool file_has(const std::string& text) const {
    return eventually([&] { return file("echo.log").find(text) != std::string::npos; });
  }
  std::vector<v1::LogLine> log(const v1::StreamLogsRequest& request) const {
    Context context;
    const auto reader = control()->StreamLogs(&context, request);
    std::vector<v1::LogLine> lines;
    for (v1::StreamLogsResponse entry; reader->Read(&entry);) lines.push_back(entry.line());
    EXPECT_TRUE(reader->Finish().ok());
    return lines;
  }

  const fs::path logs_ = directory_.path() / "logs";
};

TEST_F(Output, HasLevelsAndWholeTraces) {
  manifest("echo", {kTestPlugin});
  start();
  answer("echo",
         "!print {\"@level\":\"warn\",\"@message\":\"slow\"}\npanic: boom\n\ngoroutine 1 "
         "[running]:\nmain.main()\n\t/a.go:3 +0x1d\n2026-01-02T15:04:05.123Z [DEBUG] on");
  v1::StreamLogsRequest request;
  request.set_name("echo");
  request.set_min_level(v1::LOG_LEVEL_WARN);
  ASSERT_TRUE(eventually([&] { return log(request).size() == 6; }));
  const auto lines = log(request);
  EXPECT_EQ(lines[0].level(), v1::LOG_LEVEL_WARN);
  EXPECT_EQ(lines[1].level(), v1::LOG_LEVEL_FATAL);
  EXPECT_EQ(lines[5].text(), "\t/a.go:3 +0x1d");
  EXPECT_TRUE(lines[5].continuation());
  request.set_tail(1);
  EXPECT_EQ(log(request).size(), 5U);
  EXPECT_THAT(pluginctl({"logs", "echo", "--level", "fatal"}).out,
              HasSubstr(" echo#1 stdout fatal panic: boom\n"));
  // All that the next one prints comes after this.
  const auto time = log(request).back().time();
  request.clear_tail();
  request.clear_min_level();
  *request.mutable_since() = time;
  request.mutable_since()->set_seconds(time.seconds() + 3600);
  EXPECT_TRUE(log(request).empty());
}

TEST_F(Output, IsWrittenToFilesThatRotate) {
  manifest("echo", {kTestPlugin}, "output.file_size = '64KiB'\noutput.files = 2\n");
  manifest("quiet", {kTestPlugin}, "output.files = 0\n");
  start_with_files();
  EXPECT_EQ(get_plugin("echo").output_file(), logs_ / "echo.log");
  EXPECT_THAT(pluginctl({"status", "echo"}).out, HasSubstr((logs_ / "echo.log").string() + "\n"));
  EXPECT_EQ(get_plugin("quiet").output_file(), "");
  EXPECT_THAT(pluginctl({"status", "quiet"}).out, Not(HasSubstr("output:")));
  answer("quiet", "!print x");
  for (int i = 0; i < 20; ++i) answer("echo", "!print " + std::string(10'000, 'x'));
  answer("echo", "!print [ERROR] the last one");
  ASSERT_TRUE(file_has(" echo#1 stdout error [ERROR] the last one\n"));
  EXPECT_LE(file("echo.log").size(), 64U << 10);
  EXPECT_LE(file("echo.log.1").size(), 64U << 10);
  EXPECT_GT(file("echo.log.1").size(), 50'000U);
  EXPECT_FALSE(fs::exists(logs_ / "echo.log.2"));
  EXPECT_FALSE(fs::exists(logs_ / "quiet.log"));
  EXPECT_EQ(fs::status(logs_ / "echo.log").permissions(), fs::perms(0640));
  answer("echo", "!print the very last one");
  stop();
  EXPECT_THAT(file("echo.log"), HasSubstr(" the very last one\n"));
}

TEST_F(Output, AFileThatCannotBeWrittenHoldsNobodyUp) {
  manifest("echo", {kTestPlugin});
  // As a full disk: of a file there is room for 64 KiB.
  start_with_files({"/usr/bin/prlimit", "--fsize=65536", "--", kPlugind});
  for (int i = 0; i < 20; ++i) answer("echo", "!print " + std::string(10'000, 'x'));
  EXPECT_TRUE(daemon().wait_log("event=output-file-failed plugin=echo"));
  EXPECT_TRUE(daemon().wait_log("(EFBIG)"));
  EXPECT_TRUE(eventually([&] { return get_plugin("echo").output_problem() != ""; }));
  EXPECT_THAT(pluginctl({"status", "echo"}).out, HasSubstr("echo.log (NOT WRITTEN: cannot write"));
  // Of a line that did not fit nothing stays.
  EXPECT_TRUE(eventually([&] { return file("echo.log").ends_with("x\n"); })) << file("echo.log");
  EXPECT_EQ(pluginctl({"logs", "echo"}).exit, Exit{.code = 0});

  fs::remove(logs_ / "echo.log");
  answer("echo", "!print again");
  EXPECT_TRUE(daemon().wait_log("event=output-file-works plugin=echo lines-lost="));
  EXPECT_TRUE(file_has(" stdout -     again\n"));
  EXPECT_THAT(file("echo.log"), HasSubstr(" are missing here: they could not be written\n"));
  EXPECT_EQ(get_plugin("echo").output_problem(), "");

  fs::remove_all(logs_);
  answer("echo", "!print nowhere");
  fs::create_directory(logs_);
  fs::permissions(logs_, fs::perms(0750));
  answer("echo", "!print back");
  EXPECT_TRUE(file_has(" stdout -     back\n"));
}

TEST_F(Output, ADirectoryThatOthersMayChangeIsRefused) {
  fs::create_directory(logs_);
  std::vector<std::string> command{kPlugind,
                                   "--manifests",
                                   directory_.manifests().string(),
                                   "--socket",
                                   directory_.socket().string(),
                                   "--log-dir",
                                   logs_.string(),
                                   "--check"};
  EXPECT_EQ(testing::run(command).exit, Exit{.code = 0});
  fs::permissions(logs_, fs::perms(0777));
  const testing::Run checked = testing::run(command);
  EXPECT_EQ(checked.exit, Exit{.code = 1});
  EXPECT_THAT(checked.err, HasSubstr("run chmod 0750 " + logs_.string()));
  command.pop_back();
  const testing::Run run = testing::run(command);
  EXPECT_EQ(run.exit, Exit{.code = 1});
  EXPECT_THAT(run.err, HasSubstr("reason=CONFIG_INVALID"));
  EXPECT_THAT(run.err, HasSubstr("run chmod 0750 " + logs_.string()));
}

/// The most memory that a process ever had, in bytes.
std::uint64_t peak_memory(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::smatch found;
  if (!std::regex_search(text, found, std::regex("VmHWM:\\s*([0-9]+) kB"))) return 0;
  return std::stoull(found[1]) << 10;
}

TEST_F(Output, AGibibyteWithoutALineEndCostsBoundedMemoryAndBlocksNobody) {
  manifest("echo", {kTestPlugin});
  start_with_files();
  ASSERT_EQ(answer("echo", "warm"), "warm");
  const std::uint64_t before = peak_memory(daemon().pid());
  ASSERT_GT(before, 0U);
  Bystander bystander(plugin_socket("echo"));
  EXPECT_EQ(answer("echo", "!flood 1024"), "");
  EXPECT_EQ(answer("echo", "!print  the end"), "");
  EXPECT_EQ(bystander.complaint(), "");
  v1::StreamLogsRequest request;
  request.set_name("echo");
  ASSERT_TRUE(eventually([&] { return log(request).size() == 1; }));
  const auto line = log(request)[0];
  EXPECT_TRUE(line.truncated());
  EXPECT_EQ(line.text(), std::string(16 << 10, 'x'));
  ASSERT_TRUE(file_has(" [cut off]\n"));
  if (!kSanitized) {
    EXPECT_LT(peak_memory(daemon().pid()), before + (16U << 20));
  }
}

}  // namespace
}  // namespace plugind::e2e
