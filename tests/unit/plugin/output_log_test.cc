#include "daemon/plugin/output_log.h"

#include <gtest/gtest.h>

namespace plugind::plugin {
namespace {

const auto kNow = std::chrono::system_clock::time_point(std::chrono::hours(1));

std::vector<std::string> texts(const OutputLog& log) {
  std::vector<std::string> all;
  for (const LogLine& line : log.tail(1'000)) all.push_back(line.text);
  return all;
}

TEST(OutputLogTest, PutsLinesTogetherAcrossReads) {
  OutputLog log;
  log.append("a#1", OutputStream::kStdout, "one\ntw", kNow);
  log.append("a#1", OutputStream::kStderr, "err\n", kNow);
  log.append("a#1", OutputStream::kStdout, "o\r\nthree", kNow);
  EXPECT_EQ(texts(log), (std::vector<std::string>{"one", "err", "two"}));
  log.finish("a#1", kNow);
  EXPECT_EQ(texts(log).back(), "three");
}

TEST(OutputLogTest, AnEndlessLineCostsBoundedMemory) {
  OutputLog log({.lines = 10, .bytes = 1'000, .line_length = 100});
  const std::string piece(4'096, 'x');
  for (int i = 0; i < 1'000; ++i) log.append("a#1", OutputStream::kStdout, piece, kNow);
  log.append("a#1", OutputStream::kStdout, "\nnext\n", kNow);
  const auto lines = log.tail(10);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].text.size(), 100u);
  EXPECT_TRUE(lines[0].truncated);
  EXPECT_EQ(lines[1].text, "next");
  EXPECT_FALSE(lines[1].truncated);
}

TEST(OutputLogTest, TheRingIsBoundedInLinesAndBytes) {
  OutputLog by_lines({.lines = 3, .bytes = 1'000, .line_length = 100});
  for (int i = 0; i < 5; ++i) {
    by_lines.append("a#1", OutputStream::kStdout, std::to_string(i) + "\n", kNow);
  }
  EXPECT_EQ(texts(by_lines), (std::vector<std::string>{"2", "3", "4"}));
  EXPECT_EQ(by_lines.tail(1).front().sequence, 5u);

  OutputLog by_bytes({.lines = 100, .bytes = 10, .line_length = 100});
  for (int i = 0; i < 5; ++i) by_bytes.append("a#1", OutputStream::kStdout, "12345\n", kNow);
  EXPECT_EQ(by_bytes.tail(100).size(), 2u);
}

TEST(OutputLogTest, LastStderrIsThatOfTheInstanceWithTheUnfinishedLine) {
  OutputLog log;
  log.append("a#1", OutputStream::kStderr, "old\n", kNow);
  log.append("a#2", OutputStream::kStderr, "first\nsecond\nthird\nunfin", kNow);
  log.append("a#2", OutputStream::kStdout, "not this\n", kNow);
  EXPECT_EQ(log.last_stderr("a#2", 3, 1'000), "second\nthird\nunfin");
  EXPECT_EQ(log.last_stderr("a#2", 10, 12), "third\nunfin");
  EXPECT_EQ(log.last_stderr("a#3", 10, 1'000), "");
  EXPECT_EQ(log.last_stderr("a#2", 10, 4), "unf") << "the beginning of a long line, not nothing";
}

TEST(OutputLogTest, FollowersSeeLinesUntilTheyUnsubscribeEvenFromInside) {
  OutputLog log;
  int seen = 0;
  OutputLog::Subscription subscription;
  subscription = log.follow([&](const LogLine&) {
    if (++seen == 2) subscription.reset();
  });
  log.append("a#1", OutputStream::kStdout, "1\n2\n3\n", kNow);
  EXPECT_EQ(seen, 2);
}

}  // namespace
}  // namespace plugind::plugin
