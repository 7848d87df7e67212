#include "daemon/platform/signals.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <csignal>

#include "test_support.h"

namespace plugind::platform {
namespace {

class SignalsTest : public LoopTest {
 protected:
  void SetUp() override {
    ::pthread_sigmask(SIG_SETMASK, nullptr, &old_);
    old_pipe_ = ::signal(SIGPIPE, SIG_DFL);
    old_file_ = ::signal(SIGXFSZ, SIG_DFL);
    ::signal(SIGHUP, SIG_IGN);  // as nohup leaves it
    ASSERT_TRUE(block_signals());
    auto source = SignalSource::open(io_.get_executor());
    ASSERT_TRUE(source) << source.error().message;
    source_ = std::make_unique<SignalSource>(std::move(*source));
  }
  void TearDown() override {
    source_.reset();
    ::signal(SIGPIPE, old_pipe_);
    ::signal(SIGXFSZ, old_file_);
    ::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }

  sigset_t old_;
  void (*old_pipe_)(int) = nullptr;
  void (*old_file_)(int) = nullptr;
  std::unique_ptr<SignalSource> source_;
};

TEST_F(SignalsTest, EachArrivesOnTheLoop) {
  for (const auto& [number, signal] : {std::pair{SIGTERM, Signal::kTerminate},
                                       {SIGINT, Signal::kInterrupt},
                                       {SIGQUIT, Signal::kQuit},
                                       {SIGHUP, Signal::kHangup},
                                       {SIGUSR1, Signal::kUser1},
                                       {SIGUSR2, Signal::kUser2}}) {
    ::kill(::getpid(), number);
    EXPECT_EQ(run(source_->next()), signal);
  }
  EXPECT_EQ(to_string(Signal::kQuit), "SIGQUIT");
}

TEST_F(SignalsTest, SigpipeKillsNobody) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  ::close(ends[1]);
}

TEST_F(SignalsTest, AFileOverItsLimitKillsNobody) {
  const UniqueFd file(::memfd_create("file", MFD_CLOEXEC));
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit tight{0, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &tight);
  const ssize_t written = ::write(file.get(), "x", 1);
  const int error = errno;
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(written, -1);
  EXPECT_EQ(error, EFBIG);
}

TEST_F(SignalsTest, WaitingCanBeCancelled) {
  boost::asio::cancellation_signal cancel;
  bool cancelled = false;
  boost::asio::co_spawn(
      io_, source_->next(),
      boost::asio::bind_cancellation_slot(
          cancel.slot(), [&](std::exception_ptr error, Signal) { cancelled = error != nullptr; }));
  io_.poll();
  cancel.emit(boost::asio::cancellation_type::terminal);
  EXPECT_TRUE(run_until([&] { return cancelled; }));
  // What comes afterwards is not lost.
  ::kill(::getpid(), SIGTERM);
  EXPECT_EQ(run(source_->next()), Signal::kTerminate);
}

}  // namespace
}  // namespace plugind::platform
