// The disk with the plugins' output is full: an account of every call and of every line.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/fault/fault_test.h"

namespace plugind::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Key;

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t times = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != text.npos; at += what.size()) ++times;
  return times;
}

class Disk : public FaultTest {
 protected:
  std::string pluginctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PLUGINCTL, "--socket", directory_.socket().string()});
    return testing::run(std::move(arguments)).out;
  }
  /// Starts a daemon whose log directory is a small disk of its own, which ends with it; skips the
  /// test where none can be made.
  void start_with_disk() {
    const std::string mount = "mount -t tmpfs -o size=256k,mode=0750 none \"$0\"";
    fs::create_directory(logs_);
    const testing::Run tried = testing::run({"/usr/bin/unshare", "-m", "sh", "-c", mount, logs_});
    if (tried.exit != Exit{.code = 0}) GTEST_SKIP() << "no disk can be mounted: " << tried.err;
    start({"--log-dir", logs_.string()},
          {"/usr/bin/unshare", "-m", "sh", "-c", mount + " && exec \"$@\"", logs_, kPlugind});
    disk_ = "/proc/" + std::to_string(daemon().pid()) + "/root" + logs_.string();
  }
  std::string file() const {
    std::ifstream stream(disk_ / "echo.log", std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  const fs::path logs_ = directory_.path() / "logs";
  fs::path disk_;  // The same, as the test sees it.
};

TEST_F(Disk, ThatIsFullHoldsNobodyUpAndItsEndIsNoticed) {
  manifest("echo", {kTestPlugin});
  ASSERT_NO_FATAL_FAILURE(start_with_disk());
  if (IsSkipped()) return;
  std::size_t printed = 0;
  const auto print = [&](int lines) {
    for (; lines > 0; --lines, ++printed) answer("echo", "!print " + std::string(10'000, 'x'));
  };
  print(1);
  ASSERT_TRUE(eventually([&] { return count(file(), "\n") == 1; }));
  take_stock();
  Callers callers(
      4, [this] { return front(); }, "echo");
  std::ofstream(disk_ / "others") << std::string(128 << 10, 'x');
  print(20);
  ASSERT_TRUE(daemon().wait_log("event=output-file-failed plugin=echo"));
  EXPECT_TRUE(daemon().wait_log("(ENOSPC)"));
  print(20);
  EXPECT_THAT(get_plugin("echo").output_problem(), HasSubstr("ENOSPC"));
  EXPECT_THAT(pluginctl({"doctor", "echo"}),
              HasSubstr("warning  echo: what it prints is not in its file: cannot write to " +
                        (logs_ / "echo.log").string()));
  EXPECT_LT(count(file(), "\n"), 21U);
  // Of a line that did not fit nothing stays.
  EXPECT_TRUE(eventually([&] { return file().ends_with("x\n"); })) << file();

  fs::remove(disk_ / "others");
  print(1);
  ASSERT_TRUE(daemon().wait_log("event=output-file-works plugin=echo lines-lost="));
  EXPECT_EQ(get_plugin("echo").output_problem(), "");
  std::string text;
  std::size_t present = 0, missing = 0;
  // Lines that waited when there was room again follow the one that says how many are missing.
  EXPECT_TRUE(eventually([&] {
    text = file();
    present = count(text, " echo#1 stdout -     xxx");
    missing = printed - present;
    return daemon().log().contains("lines-lost=" + std::to_string(missing) + "\n");
  })) << text;
  EXPECT_EQ(count(text, "\n"), present + 1) << "one line says how many are missing";
  EXPECT_THAT(text, HasSubstr(" plugind - warn  " + std::to_string(missing) +
                              " lines are missing here: they could not be written\n"));
  EXPECT_EQ(count(daemon().log(), "event=output-file-failed"), 1U);
  EXPECT_THAT(callers.end(), ElementsAre(Key("OK")));
}

}  // namespace
}  // namespace plugind::e2e
