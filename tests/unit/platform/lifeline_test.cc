#include "daemon/platform/lifeline.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <boost/asio/detached.hpp>

#include "test_support.h"

namespace plugind::platform {
namespace {

class LifelineTest : public LoopTest {
 protected:
  /// Follows the lifeline on `descriptor`.
  void follow(int descriptor) {
    auto lifeline = Lifeline::open(io_.get_executor(), descriptor);
    ASSERT_TRUE(lifeline) << lifeline.error().message;
    lifeline_ = std::make_unique<Lifeline>(std::move(*lifeline));
    boost::asio::co_spawn(io_, lifeline_->wait_closed(),
                          [this](std::exception_ptr error) { closed_ = !error; });
  }
  void expect_refused(int descriptor, const std::string& words) {
    const auto lifeline = Lifeline::open(io_.get_executor(), descriptor);
    ASSERT_FALSE(lifeline);
    EXPECT_EQ(lifeline.error().reason, Reason::kConfigInvalid);
    EXPECT_NE(lifeline.error().message.find(words), std::string::npos) << lifeline.error().message;
  }

  std::unique_ptr<Lifeline> lifeline_;
  bool closed_ = false;
};

TEST_F(LifelineTest, CompletesWhenThePipeIsClosed) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  follow(reading.get());
  // More than one read takes.
  const std::string noise(60'000, 'x');
  ASSERT_EQ(::write(writing.get(), noise.data(), noise.size()), 60'000);
  const auto drained = [&] {
    pollfd state{reading.get(), POLLIN, 0};
    return ::poll(&state, 1, 0) == 0;
  };
  EXPECT_TRUE(run_until(drained));
  EXPECT_FALSE(closed_);
  // The pipe is shared with whoever started us: its flags are not ours to change.
  EXPECT_EQ(::fcntl(reading.get(), F_GETFL) & O_NONBLOCK, 0);
  writing.reset();
  EXPECT_TRUE(run_until([&] { return closed_; }));
}

TEST_F(LifelineTest, CompletesWhenTheSocketIsClosed) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  follow(ours.get());
  io_.poll();
  EXPECT_FALSE(closed_);
  theirs.reset();
  EXPECT_TRUE(run_until([&] { return closed_; }));
}

TEST_F(LifelineTest, RefusesWhatNeverCloses) {
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  expect_refused(null.get(), "/dev/null");
  const UniqueFd file(::open(own_executable().c_str(), O_RDONLY | O_CLOEXEC));
  expect_refused(file.get(), "a file");
  expect_refused(-1, "closed");
}

}  // namespace
}  // namespace plugind::platform
