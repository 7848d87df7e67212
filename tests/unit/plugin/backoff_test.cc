// The pause before a restart, from the first failure to a stable time.
#include <gtest/gtest.h>
#include <signal.h>

#include <vector>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using std::chrono::milliseconds;
using testing::run_ready;

class BackoffTest : public SupervisorTest {
 protected:
  static Manifest shared() {
    Manifest m = manifest("text");
    m.restart_backoff = milliseconds(100);
    m.restart_backoff_max = milliseconds(30'000);
    m.restart_limit = 0;
    m.restart_window = milliseconds(60'000);
    return m;
  }
  /// The instance that runs dies.
  void crash() {
    processes_.last().die(SIGKILL);
    run_ready(loop_);
  }
  /// How long the next start was waited for.
  milliseconds pause() {
    const int before = dialect_.starts;
    milliseconds passed{0};
    for (; dialect_.starts == before && passed < milliseconds(120'000); passed += kStep) {
      clock_.advance(kStep);
    }
    return passed;
  }
  static constexpr milliseconds kStep{100};
};

TEST_F(BackoffTest, StaysAtItsTopHoweverLongThePausesAre) {
  apply(shared());
  ASSERT_TRUE(call("text")->ok());
  crash();  // The first one is started again at once.
  std::vector<milliseconds> pauses;
  for (int i = 0; i < 14; ++i) {
    crash();
    pauses.push_back(pause());
  }
  EXPECT_EQ(pauses.front(), milliseconds(100));
  EXPECT_EQ(pauses[8], milliseconds(25'600));
  for (std::size_t i = 9; i < pauses.size(); ++i) EXPECT_EQ(pauses[i], milliseconds(30'000)) << i;
}

TEST_F(BackoffTest, IsOfUseWhereItIsLongerThanTheWindow) {
  Manifest m = shared();
  m.restart_backoff = m.restart_backoff_max = milliseconds(90'000);
  apply(std::move(m));
  ASSERT_TRUE(call("text")->ok());
  crash();
  for (int i = 0; i < 3; ++i) {
    crash();
    EXPECT_EQ(pause(), milliseconds(90'000)) << i;
  }
}

TEST_F(BackoffTest, GrowsWhereAStartTakesAsLongAsTheWindowToFail) {
  Manifest m = shared();
  m.start_mode = StartMode::kBoot;
  m.restart_limit = 5;
  dialect_.start_takes = milliseconds(60'000);
  dialect_.next_error = make_error(Reason::kStartTimeout, "it was not ready");
  apply(std::move(m));
  std::vector<milliseconds> pauses;
  for (int i = 0; i < 6; ++i) {
    clock_.advance(milliseconds(60'000));
    dialect_.next_error = make_error(Reason::kStartTimeout, "it was not ready");
    // The first start after a failure has begun by now.
    pauses.push_back(dialect_.starts == i + 2 ? milliseconds(0) : pause());
  }
  EXPECT_EQ(pauses, (std::vector{milliseconds(0), milliseconds(100), milliseconds(200),
                                 milliseconds(400), milliseconds(800), milliseconds(1'600)}));
}

TEST_F(BackoffTest, BeginsAnewAfterAStableTime) {
  apply(shared());
  ASSERT_TRUE(call("text")->ok());
  crash();
  crash();
  EXPECT_EQ(pause(), milliseconds(100));
  crash();
  EXPECT_EQ(pause(), milliseconds(200));
  clock_.advance(milliseconds(59'999));
  crash();
  EXPECT_EQ(pause(), milliseconds(400)) << "it was ready for less than the window";
  clock_.advance(milliseconds(60'000));
  const int before = dialect_.starts;
  crash();
  EXPECT_EQ(dialect_.starts, before + 1) << "the first one after that is started at once";
  crash();
  EXPECT_EQ(pause(), milliseconds(100));
}

TEST_F(BackoffTest, IsForEndsWithoutAFailureToo) {
  Manifest m = shared();
  m.restart_policy = RestartPolicy::kAlways;
  m.restart_limit = 2;
  apply(std::move(m));
  ASSERT_TRUE(call("text")->ok());
  const auto end = [this] {
    processes_.last().exit(0);
    run_ready(loop_);
  };
  end();
  std::vector<milliseconds> pauses;
  for (int i = 0; i < 4; ++i) {
    end();
    pauses.push_back(pause());
  }
  EXPECT_EQ(pauses, (std::vector{milliseconds(100), milliseconds(200), milliseconds(400),
                                 milliseconds(800)}));
  EXPECT_FALSE(supervisor_->status("text")->crash_loop) << "nothing failed";
}

TEST_F(BackoffTest, BeginsAnewWhereNobodyWantedItForLong) {
  Manifest m = shared();
  m.restart_policy = RestartPolicy::kNever;
  apply(std::move(m));
  for (int i = 0; i < 3; ++i) {
    const auto waiting = call("text");
    clock_.advance(milliseconds(200));
    ASSERT_TRUE(waiting->ok()) << i;
    crash();
  }
  clock_.advance(milliseconds(60'200));
  EXPECT_TRUE(call("text")->ok()) << "the pause has passed";
  crash();
  EXPECT_FALSE(call("text")->ok()) << "the fourth in a row: so long is not beyond the pause";
  clock_.advance(milliseconds(400));
  crash();
  clock_.advance(milliseconds(60'801));
  EXPECT_TRUE(call("text")->ok());
  crash();
  EXPECT_TRUE(call("text")->ok()) << "the first one";
}

}  // namespace
}  // namespace plugind::plugin
