#include "daemon/app/output_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iterator>
#include <mutex>
#include <regex>

namespace plugind::app {
namespace {

namespace fs = std::filesystem;
using plugin::Manifest;
using plugin::OutputLog;
using plugin::OutputStream;
using Kind = OutputWriter::Report::Kind;
using namespace std::chrono_literals;

constexpr auto kDeadline = 10s;
const auto kNow = std::chrono::system_clock::time_point(std::chrono::hours(1));

class OutputWriterTest : public ::testing::Test {
 protected:
  OutputWriterTest() {
    std::string pattern = (fs::temp_directory_path() / "plugind-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    directory_ = root_ / "logs";
    fs::create_directory(directory_);
  }
  ~OutputWriterTest() override { fs::remove_all(root_); }

  // The destructor is given more time than usual: on a busy machine it may need that.
  void make_writer(OutputWriter::Limits limits = {.patience = 60s}) {
    writer_ = std::make_unique<OutputWriter>(
        directory_,
        [this](const OutputWriter::Report& report) {
          {
            const std::lock_guard lock(mutex_);
            reports_.push_back(report);
          }
          reported_.notify_all();
          if (on_report_) on_report_(report);
        },
        limits);
  }
  static Manifest manifest(const std::string& name) {
    Manifest manifest;
    manifest.name = name;
    return manifest;
  }
  static void print(OutputLog& log, const std::string& text) {
    log.append("kv#1", OutputStream::kStdout, text, kNow);
  }
  std::vector<OutputWriter::Report> reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }
  bool wait_reports(std::size_t count) {
    std::unique_lock lock(mutex_);
    return reported_.wait_for(lock, kDeadline, [&] { return reports_.size() >= count; });
  }
  /// How many files in the directory are open.
  int descriptors() const {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (fs::read_symlink(entry, gone).parent_path() == directory_) ++count;
    }
    return count;
  }
  /// What is in a file, without the times.
  std::string content(const std::string& name) const {
    std::ifstream file(directory_ / name, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return std::regex_replace(text, std::regex("(^|\n)[0-9-]+T[0-9:.]+Z "), "$1");
  }

  fs::path root_, directory_;
  std::mutex mutex_;
  std::condition_variable reported_;
  std::vector<OutputWriter::Report> reports_;
  std::function<void(const OutputWriter::Report&)> on_report_;  // Set before anything is written.
  std::unique_ptr<OutputWriter> writer_;
};

TEST_F(OutputWriterTest, WritesWhatComesAndAllOfItBeforeItEnds) {
  make_writer();
  OutputLog log;
  OutputLog other;
  print(log, "before\n");
  const auto file = writer_->open(manifest("kv"), log);
  const auto other_file = writer_->open(manifest("other"), other);
  EXPECT_EQ(file->path(), directory_ / "kv.log");
  EXPECT_EQ(file->problem(), "");
  std::string expected;
  for (int i = 0; i < 1'000; ++i) {
    print(log, "line " + std::to_string(i) + "\n");
    expected += "kv#1 stdout -     line " + std::to_string(i) + "\n";
  }
  print(other, "[ERROR] x\n");
  writer_.reset();
  EXPECT_EQ(content("kv.log"), expected);
  EXPECT_EQ(content("other.log"), "kv#1 stdout error [ERROR] x\n");
  EXPECT_TRUE(reports().empty());
  print(log, "after\n");  // The writer is gone.
  EXPECT_EQ(content("kv.log"), expected);
}

TEST_F(OutputWriterTest, AFileThatIsClosedGetsNoMore) {
  make_writer();
  OutputLog log;
  auto file = writer_->open(manifest("kv"), log);
  print(log, "one\n");
  file.reset();
  print(log, "two\n");
  writer_.reset();
  EXPECT_EQ(content("kv.log"), "kv#1 stdout -     one\n");
}

TEST_F(OutputWriterTest, TheManifestSaysHowManyFilesAndHowLarge) {
  make_writer();
  OutputLog log;
  Manifest none = manifest("kv");
  none.output.files = 0;
  EXPECT_EQ(writer_->open(none, log), nullptr);
  Manifest large = manifest("kv");
  const auto first = writer_->open(large, log);
  // The plugin was registered anew while its last instance still prints.
  OutputLog next;
  Manifest small = manifest("kv");
  small.output = {.file_size = 100, .files = 2};
  const auto second = writer_->open(small, next);
  print(log, "old\n");
  print(next, "new 1\nnew 2\n");
  writer_.reset();
  EXPECT_EQ(content("kv.log.1"), "kv#1 stdout -     old\nkv#1 stdout -     new 1\n");
  EXPECT_EQ(content("kv.log"), "kv#1 stdout -     new 2\n");
}

TEST_F(OutputWriterTest, WhatCannotBeWrittenIsToldOnceAndAgainWhenItWorks) {
  make_writer();
  OutputLog log;
  const auto file = writer_->open(manifest("kv"), log);
  fs::remove(directory_);
  std::promise<std::string> failed;
  std::promise<void> works;
  on_report_ = [&](const OutputWriter::Report& report) {
    if (report.kind == Kind::kFailed) failed.set_value(file->problem());
    if (report.kind == Kind::kWorks) works.set_value();
  };
  print(log, "one\n");
  auto problem = failed.get_future();
  ASSERT_EQ(problem.wait_for(kDeadline), std::future_status::ready);
  EXPECT_NE(problem.get().find("ENOENT"), std::string::npos);
  print(log, "two\nthree\n");
  fs::create_directory(directory_);
  print(log, "four\n");
  ASSERT_EQ(works.get_future().wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(file->problem(), "");
  writer_.reset();
  const auto all = reports();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].plugin, "kv");
  EXPECT_NE(all[0].detail.find(directory_.string()), std::string::npos);
  // Each of "two" and "three" was tried before or after the directory was there again.
  const std::string text = content("kv.log");
  EXPECT_EQ(all[1].lines + static_cast<std::uint64_t>(std::ranges::count(text, '\n')) - 1, 4u);
  EXPECT_GE(all[1].lines, 1u);
  const std::string missing = "plugind - warn  " + std::to_string(all[1].lines) +
                              (all[1].lines == 1 ? " line is" : " lines are") +
                              " missing here: they could not be written\n";
  EXPECT_TRUE(text.starts_with(missing)) << text;
  EXPECT_TRUE(text.ends_with("kv#1 stdout -     four\n")) << text;
}

TEST_F(OutputWriterTest, WhatComesAndGoesIsToldOnceAMinuteAtMost) {
  std::atomic<int> seconds = 0;
  make_writer({.patience = 60s, .now = [&] {
                 return std::chrono::steady_clock::time_point(std::chrono::seconds(seconds));
               }});
  OutputLog log;
  OutputLog other;
  const auto file = writer_->open(manifest("kv"), log);
  const auto other_file = writer_->open(manifest("other"), other);
  fs::remove(directory_);
  print(log, "1\n");
  ASSERT_TRUE(wait_reports(1));
  fs::create_directory(directory_);
  print(log, "2\n");
  ASSERT_TRUE(wait_reports(2));
  fs::remove_all(directory_);
  seconds = 59;
  print(log, "3\n");
  print(other, "its own failure is told after that of 3 would be\n");
  ASSERT_TRUE(wait_reports(3));
  seconds = 60;
  print(log, "4\n");
  ASSERT_TRUE(wait_reports(4));
  fs::create_directory(directory_);
  print(log, "5\n");
  ASSERT_TRUE(wait_reports(5));
  const auto all = reports();
  const auto is = [&](std::size_t i, Kind kind, const std::string& plugin, std::uint64_t lines) {
    EXPECT_EQ(all[i].kind, kind) << i;
    EXPECT_EQ(all[i].plugin, plugin) << i;
    EXPECT_EQ(all[i].lines, lines) << i;
  };
  is(0, Kind::kFailed, "kv", 0);
  is(1, Kind::kWorks, "kv", 1);
  is(2, Kind::kFailed, "other", 0);
  is(3, Kind::kFailed, "kv", 0);
  is(4, Kind::kWorks, "kv", 2);
}

TEST_F(OutputWriterTest, AFileIntoWhichNobodyPrintsAnyMoreIsClosed) {
  make_writer();
  OutputLog log;
  OutputLog other;
  auto file = writer_->open(manifest("kv"), log);
  auto again = writer_->open(manifest("kv"), log);
  const auto other_file = writer_->open(manifest("other"), other);
  fs::create_directory(directory_ / "other.log");
  print(log, "one\n");
  file.reset();
  print(other, "fails, and that is told after what was to be done before\n");
  ASSERT_TRUE(wait_reports(1));
  EXPECT_EQ(descriptors(), 1);
  again.reset();
  fs::remove(directory_ / "other.log");
  print(other, "works\n");
  ASSERT_TRUE(wait_reports(2));
  EXPECT_EQ(descriptors(), 1) << "that of the other plugin";
  EXPECT_EQ(content("kv.log"), "kv#1 stdout -     one\nkv#1 stdout -     one\n");
}

TEST_F(OutputWriterTest, WhatComesFasterThanItIsWrittenIsCountedInItsPlace) {
  make_writer({.queue = 100, .patience = 60s});
  OutputLog log;
  OutputLog other;
  const auto file = writer_->open(manifest("kv"), log);
  const auto other_file = writer_->open(manifest("other"), other);
  fs::remove(directory_);
  // The disk hangs until it is released.
  std::promise<void> hangs, released;
  on_report_ = [&](const OutputWriter::Report& report) {
    if (report.kind != Kind::kFailed) return;
    hangs.set_value();
    released.get_future().wait();
  };
  print(log, "lost\n");
  ASSERT_EQ(hangs.get_future().wait_for(kDeadline), std::future_status::ready);
  fs::create_directory(directory_);
  for (int i = 1; i <= 50; ++i) print(log, std::to_string(i) + "\n");
  print(other, "has a queue of its own\n");
  released.set_value();
  writer_.reset();
  EXPECT_EQ(content("kv.log"),
            "plugind - warn  1 line is missing here: they could not be written\n"
            "kv#1 stdout -     1\nkv#1 stdout -     2\n"
            "plugind - warn  48 lines are missing here: they came faster than they were written\n");
  EXPECT_EQ(content("other.log"), "kv#1 stdout -     has a queue of its own\n");
  const auto all = reports();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[1].kind, Kind::kLeftOut);
  EXPECT_EQ(all[1].lines, 48u);
  EXPECT_EQ(all[2].kind, Kind::kWorks);
  EXPECT_EQ(all[2].lines, 1u);
}

TEST_F(OutputWriterTest, ADiskThatHangsHoldsUpTheEndForABoundedTime) {
  make_writer({.patience = 1ms});
  OutputLog log;
  const auto file = writer_->open(manifest("kv"), log);
  fs::remove(directory_);
  std::promise<void> hangs, released, done;
  on_report_ = [&](const OutputWriter::Report&) {
    hangs.set_value();
    released.get_future().wait();
    done.set_value();
  };
  print(log, "one\n");
  ASSERT_EQ(hangs.get_future().wait_for(kDeadline), std::future_status::ready);
  writer_.reset();  // returns
  released.set_value();
  ASSERT_EQ(done.get_future().wait_for(kDeadline), std::future_status::ready);
}

}  // namespace
}  // namespace plugind::app
