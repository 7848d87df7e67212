// Which plugin's output goes to which files, while manifests and versions change.
#include "daemon/plugin/output_files.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using testing::run_ready;

/// Keeps in memory what would be in files.
class KeptFiles final : public OutputFiles {
 public:
  struct Kept {
    std::uint32_t files = 0;  // As the manifest said last.
    int open = 0;
    std::vector<std::string> lines;
  };

  std::shared_ptr<OutputFile> open(const Manifest& manifest, OutputLog& log) override {
    Kept& kept = of_plugin[manifest.name];
    kept.files = manifest.output.files;
    if (manifest.output.files == 0) return nullptr;
    return std::make_shared<File>("/log/" + manifest.name + ".log", problem, kept, log);
  }

  std::string problem;
  std::map<std::string, Kept> of_plugin;

 private:
  class File final : public OutputFile {
   public:
    File(std::string path, const std::string& problem, Kept& kept, OutputLog& log)
        : path_(std::move(path)),
          problem_(problem),
          kept_(kept),
          lines_(log.follow([&kept](const LogLine& line) { kept.lines.push_back(line.text); })) {
      ++kept_.open;
    }
    ~File() override { --kept_.open; }
    std::filesystem::path path() const override { return path_; }
    std::string problem() const override { return problem_; }

   private:
    const std::string path_;
    const std::string& problem_;
    Kept& kept_;
    const OutputLog::Subscription lines_;
  };
};

/// Outlives the supervisor.
struct HasFiles {
  KeptFiles files_;
};

class OutputFilesTest : protected HasFiles, public SupervisorTest {
 protected:
  OutputFilesTest() {
    output_files_ = &files_;
    with_lanes(1);
  }

  static Manifest version(const std::string& version, std::uint32_t files) {
    Manifest m = manifest("echo");
    m.version = version;
    m.output.files = files;
    m.upgrade_probation = milliseconds(1'000);
    return m;
  }
  void upgrade(Manifest m) {
    supervisor_->upgrade(std::move(m), [](const auto&) {});
    run_ready(loop_);
  }
  const KeptFiles::Kept& kept() { return files_.of_plugin["echo"]; }
  using Lines = std::vector<std::string>;
};

TEST_F(OutputFilesTest, TheStatusTellsWhereAndWhatIsWrong) {
  apply(version("1", 3));
  EXPECT_EQ(kept().files, 3u);
  EXPECT_EQ(supervisor_->status("echo")->output_file, "/log/echo.log");
  EXPECT_EQ(supervisor_->status("echo")->output_problem, "");
  files_.problem = "the disk is full";
  EXPECT_EQ(supervisor_->status("echo")->output_problem, "the disk is full");
  apply(version("1", 0));
  EXPECT_EQ(supervisor_->status("echo")->output_file, "");
  EXPECT_EQ(supervisor_->status("echo")->output_problem, "");
}

TEST_F(OutputFilesTest, ALineIsThereOnceWhicheverManifestItsInstanceRuns) {
  apply(version("1", 3));
  ASSERT_TRUE(call("echo")->ok());
  testing::FakeProcess& first = processes_.last();
  first.ends_on_terminate = false;
  first.print_stdout("one\n");
  apply(version("2", 4));
  EXPECT_EQ(kept().files, 4u);
  first.print_stdout("two\n");
  ASSERT_TRUE(call("echo")->ok());
  processes_.last().print_stdout("three\n");
  EXPECT_EQ(kept().lines, (Lines{"one", "two", "three"}));
  EXPECT_EQ(kept().open, 1);
}

TEST_F(OutputFilesTest, AnUpgradeThatFailsChangesNothing) {
  apply(version("1", 3));
  ASSERT_TRUE(call("echo")->ok());
  dialect_.next_error = make_error(Reason::kExecutableMissing, "/opt/none does not exist");
  upgrade(version("2", 0));
  EXPECT_EQ(kept().files, 3u);
  processes_.last().print_stdout("one\n");
  EXPECT_EQ(kept().lines, Lines{"one"});
}

TEST_F(OutputFilesTest, AnUpgradeChangesThemAndARollBackChangesThemBack) {
  apply(version("1", 3));
  ASSERT_TRUE(call("echo")->ok());
  upgrade(version("2", 4));
  EXPECT_EQ(kept().files, 4u);
  processes_.last().print_stdout("of version 2\n");
  processes_.last().die(SIGSEGV);
  run_ready(loop_);
  EXPECT_EQ(kept().files, 3u);
  processes_.spawned.front()->print_stdout("of version 1\n");
  EXPECT_EQ(kept().lines, (Lines{"of version 2", "of version 1"}));
}

TEST_F(OutputFilesTest, TheLastWordsOfARemovedPluginAreThereAndItsFileIsClosedThen) {
  apply(version("1", 3));
  ASSERT_TRUE(call("echo")->ok());
  testing::FakeProcess& process = processes_.last();
  process.ends_on_terminate = false;
  supervisor_->apply({});
  run_ready(loop_);
  process.print_stdout("bye\n");
  EXPECT_EQ(kept().lines, Lines{"bye"});
  EXPECT_EQ(kept().open, 1);
  settle();
  EXPECT_EQ(kept().open, 0);
}

}  // namespace
}  // namespace plugind::plugin
