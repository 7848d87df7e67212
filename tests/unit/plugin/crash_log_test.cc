#include "daemon/plugin/crash_log.h"

#include <gtest/gtest.h>

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;

std::vector<std::uint64_t> numbers(const CrashLog& log) {
  std::vector<std::uint64_t> all;
  for (const CrashReport& report : log.newest_first()) all.push_back(report.number);
  return all;
}

CrashReport report_of(const std::string& instance) {
  CrashReport report;
  report.instance = instance;
  return report;
}

class InstanceEndTest : public ::testing::Test {
 protected:
  InstanceEndTest() { log_->keep(10); }
  const CrashReport& last() { return *log_->last(); }

  const std::shared_ptr<CrashLog> log_ = std::make_shared<CrashLog>();
  InstanceEnd end_{log_};
};

TEST(CrashLogTest, KeepsTheLastOnesAndNumbersThemOn) {
  CrashLog log;
  log.keep(2);
  for (int i = 0; i < 3; ++i) log.add(std::make_shared<CrashReport>());
  EXPECT_EQ(numbers(log), (std::vector<std::uint64_t>{3, 2}));
  EXPECT_EQ(log.last()->number, 3u);
  log.keep(1);
  EXPECT_EQ(numbers(log), std::vector<std::uint64_t>{3});
  log.keep(3);
  log.add(std::make_shared<CrashReport>());
  EXPECT_EQ(numbers(log), (std::vector<std::uint64_t>{4, 3}));
}

TEST(CrashLogTest, KeepsNoneIfToldSo) {
  CrashLog log;
  EXPECT_FALSE(log.keeps());
  log.add(std::make_shared<CrashReport>());
  EXPECT_EQ(log.last(), nullptr);
  EXPECT_EQ(log.size(), 0u);
}

TEST_F(InstanceEndTest, ListsTheFirstCallsAndCountsTheOthers) {
  for (int i = 0; i < 40; ++i) end_.lose({"/a.B/" + std::to_string(i), 7, milliseconds(i)});
  end_.report(report_of("a#1"), true);
  ASSERT_EQ(log_->size(), 1u);
  EXPECT_EQ(last().instance, "a#1");
  EXPECT_EQ(last().calls_lost, 40u);
  ASSERT_EQ(last().calls.size(), CrashReport::kMaxCalls);
  EXPECT_EQ(last().calls[31].method, "/a.B/31");
  EXPECT_EQ(last().calls[31].host_pid, 7);
  EXPECT_EQ(last().calls[31].age, milliseconds(31));
}

TEST_F(InstanceEndTest, TakesCallsThatHearOfItLater) {
  end_.report(report_of("a#1"), true);
  end_.lose({"/a.B/C", 7, milliseconds(5)});
  EXPECT_EQ(log_->size(), 1u);
  EXPECT_EQ(last().calls_lost, 1u);
  ASSERT_EQ(last().calls.size(), 1u);
}

TEST_F(InstanceEndTest, IsNoCrashIfItDidNotFailUnlessACallWasLost) {
  end_.report(report_of("a#1"), false);
  EXPECT_EQ(log_->size(), 0u);
  end_.lose({"/a.B/C", 7, milliseconds(5)});
  end_.lose({"/a.B/D", 7, milliseconds(5)});
  EXPECT_EQ(log_->size(), 1u);
  EXPECT_EQ(last().calls_lost, 2u);
}

TEST_F(InstanceEndTest, OfAnInstanceThatWasStoppedIsNoCrash) {
  end_.lose({"/a.B/C", 7, milliseconds(5)});
  EXPECT_EQ(log_->size(), 0u);
}

TEST_F(InstanceEndTest, ForgetsCallsOfAConnectionThatWasMadeAgain) {
  end_.lose({"/a.B/C", 7, milliseconds(5)});
  end_.forget_losses();
  end_.report(report_of("a#1"), true);
  EXPECT_EQ(last().calls_lost, 0u);
  EXPECT_TRUE(last().calls.empty());
}

TEST_F(InstanceEndTest, MakesMethodsPrintableAndShort) {
  end_.lose({"/a\x1b\xff" + std::string(300, 'x'), 7, milliseconds(5)});
  end_.report(report_of("a#1"), true);
  const std::string& method = last().calls.front().method;
  EXPECT_TRUE(method.starts_with("/a\\x1b\\xffxxx")) << method;
  EXPECT_LT(method.size(), 300u);
}

}  // namespace
}  // namespace plugind::plugin
