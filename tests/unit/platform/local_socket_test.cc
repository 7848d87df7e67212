#include "daemon/platform/local_socket.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <thread>

#include "daemon/platform/posix/unix_listener.h"
#include "test_support.h"

namespace plugind::platform {
namespace {

namespace fs = std::filesystem;

class LocalSocketTest : public testing::Test {
 protected:
  void expect_error(const fs::path& path, Reason reason, const std::string& words) {
    const auto result = LocalSocket::listen(path);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().reason, reason) << result.error().message;
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
  }
  static bool answers(const fs::path& path) {
    const auto address = unix_address(path);
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) == 0;
  }

  /// A process listens there, and is killed.
  void leave_behind() {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto socket = LocalSocket::listen(path_);
      ::raise(socket ? SIGKILL : SIGABRT);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    ASSERT_TRUE(fs::exists(path_) && fs::exists(lock_));
  }
  /// How many descriptors of this process lead to the lock.
  int descriptors() const {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code ec;
      if (fs::read_symlink(entry.path(), ec) == lock_) ++count;
    }
    return count;
  }

  TemporaryDirectory directory_;
  fs::path path_ = directory_.path() / "front.sock";
  fs::path lock_ = directory_.path() / "front.sock.lock";
};

TEST_F(LocalSocketTest, ClearsAwayWhatADeadHolderLeft) {
  leave_behind();
  bool more = false;
  LocalSocket::clear_away(path_, [&] {
    more = true;
    EXPECT_FALSE(fs::exists(path_));
    EXPECT_TRUE(fs::exists(lock_)) << "it is held meanwhile";
  });
  EXPECT_TRUE(more);
  EXPECT_TRUE(fs::is_empty(directory_.path()));
  LocalSocket::clear_away(path_, [] { ADD_FAILURE() << "there is nothing"; });
  EXPECT_TRUE(fs::is_empty(directory_.path()));
}

TEST_F(LocalSocketTest, WhoStartsMeanwhileWaitsUntilAllIsClearedAway) {
  leave_behind();
  std::expected<LocalSocket, Error> next = std::unexpected(make_error(Reason::kInternal, ""));
  std::thread starter;
  LocalSocket::clear_away(path_, [&] {
    starter = std::thread([&] { next = LocalSocket::listen(path_); });
    const auto deadline = std::chrono::steady_clock::now() + kDeadline;
    while (descriptors() < 2) ASSERT_LT(std::chrono::steady_clock::now(), deadline);
  });
  starter.join();
  ASSERT_TRUE(next) << next.error().message;
  EXPECT_TRUE(answers(path_));
}

TEST_F(LocalSocketTest, ClearsNothingAwayThatIsAlive) {
  const auto socket = LocalSocket::listen(path_);
  ASSERT_TRUE(socket) << socket.error().message;
  LocalSocket::clear_away(path_, [] { ADD_FAILURE() << "it is not ours"; });
  EXPECT_TRUE(answers(path_));
  EXPECT_TRUE(fs::exists(lock_));
}

TEST_F(LocalSocketTest, ListensPrivatelyAndCleansUp) {
  {
    const mode_t old = ::umask(0);
    const auto socket = LocalSocket::listen(path_);
    ::umask(old);
    ASSERT_TRUE(socket) << socket.error().message;
    struct stat info;
    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u);
    EXPECT_NE(::fcntl(socket->native_handle(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(socket->native_handle(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_TRUE(answers(path_));
  }
  EXPECT_TRUE(fs::is_empty(directory_.path()));
}

TEST_F(LocalSocketTest, TheModeCanBeWider) {
  const mode_t old = ::umask(077);
  const auto socket = LocalSocket::listen(path_, {.mode = 0660});
  ::umask(old);
  ASSERT_TRUE(socket);
  EXPECT_EQ(static_cast<unsigned>(fs::status(path_).permissions()), 0660u);
}

TEST_F(LocalSocketTest, TheGroupCanBeAnother) {
  struct stat info;
  {
    const auto own = LocalSocket::listen(path_, {.mode = 0660, .group = ::getegid()});
    ASSERT_TRUE(own) << own.error().message;
  }
  const auto socket = LocalSocket::listen(path_, {.mode = 0660, .group = 61'070});
  if (::geteuid() == 0) {
    ASSERT_TRUE(socket) << socket.error().message;
    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_EQ(info.st_gid, 61'070u);
    EXPECT_EQ(info.st_mode & 0777, 0660u);
  } else {
    ASSERT_FALSE(socket);
    EXPECT_NE(socket.error().message.find("must be a member of it"), std::string::npos);
    EXPECT_FALSE(fs::exists(path_));
  }
}

TEST_F(LocalSocketTest, OverlongPath) {
  const fs::path longest =
      directory_.path() / std::string(106 - directory_.path().native().size(), 'x');
  EXPECT_TRUE(LocalSocket::listen(longest, {.lock = false}));
  expect_error(longest.string() + "x", Reason::kSocketPathTooLong, "has 108 bytes");
  expect_error(longest.string() + "x", Reason::kSocketPathTooLong, "allows 107");
}

TEST_F(LocalSocketTest, TheHolderIsNamed) {
  const auto socket = LocalSocket::listen(path_);
  ASSERT_TRUE(socket);
  expect_error(path_, Reason::kSocketInUse, "(pid " + std::to_string(::getpid()) + ")");
  EXPECT_TRUE(answers(path_));
}

TEST_F(LocalSocketTest, TheLockOutlivesTheFile) {
  const auto socket = LocalSocket::listen(path_);
  ASSERT_TRUE(socket);
  fs::remove(path_);
  expect_error(path_, Reason::kSocketInUse, "(pid " + std::to_string(::getpid()) + ")");
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(LocalSocketTest, TwoNeverHoldItAtOnce) {
  // Holders come and go; each makes a file that must not be there yet.
  const fs::path mark = directory_.path() / "mark";
  constexpr int kStarters = 4, kTurns = 200;
  std::vector<pid_t> children;
  for (int i = 0; i < kStarters; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    for (int turns = 0; turns < kTurns;) {
      const auto socket = LocalSocket::listen(path_);
      if (!socket) continue;
      const UniqueFd alone(::open(mark.c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0600));
      if (!alone) ::_exit(1);
      ::sched_yield();
      ::unlink(mark.c_str());
      ++turns;
    }
    ::_exit(0);
  }
  for (const pid_t child : children) {
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

TEST_F(LocalSocketTest, AHolderWithoutALockIsRespected) {
  const auto socket = LocalSocket::listen(path_, {.lock = false});
  ASSERT_TRUE(socket);
  expect_error(path_, Reason::kSocketInUse, "(pid " + std::to_string(::getpid()) + ")");
  EXPECT_TRUE(answers(path_));
  EXPECT_FALSE(fs::exists(path_.string() + ".lock"));
}

TEST_F(LocalSocketTest, WhatADeadDaemonLeftIsTakenOver) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto socket = LocalSocket::listen(path_);
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(fs::exists(path_));
  ASSERT_TRUE(fs::exists(path_.string() + ".lock"));
  const auto socket = LocalSocket::listen(path_);
  ASSERT_TRUE(socket) << socket.error().message;
  EXPECT_TRUE(answers(path_));
}

TEST_F(LocalSocketTest, SomethingElseIsLeftAlone) {
  std::ofstream(path_) << "precious";
  expect_error(path_, Reason::kSocketInUse, "is not a socket");
  EXPECT_EQ(fs::file_size(path_), 8u);
}

TEST_F(LocalSocketTest, ACheckTellsWhatIsInTheWayAndMakesNothing) {
  const auto told = [](const fs::path& path, bool makes_directory = false) {
    const auto looked = LocalSocket::check(path, makes_directory);
    return looked ? "" : looked.error().message;
  };
  EXPECT_EQ(told(path_), "");
  EXPECT_TRUE(fs::is_empty(directory_.path()));
  const fs::path nowhere = directory_.path() / "none" / "front.sock";
  EXPECT_EQ(told(nowhere, true), "");
  EXPECT_NE(told(nowhere).find("cannot make the socket " + nowhere.string() +
                               ": No such file or directory (ENOENT); its directory must be there"),
            std::string::npos)
      << told(nowhere);
  const fs::path file = directory_.path() / "file";
  std::ofstream(file) << "precious";
  EXPECT_EQ(told(file), LocalSocket::listen(file).error().message);
  fs::permissions(file, fs::perms::all);
  EXPECT_NE(told(file / "front.sock").find("Not a directory (ENOTDIR)"), std::string::npos);
  const fs::path longer = directory_.path() / std::string(108, 'x');
  EXPECT_EQ(told(longer, true), LocalSocket::listen(longer).error().message);
  // One that runs is asked about what is to be its next configuration.
  const auto held = LocalSocket::listen(path_);
  ASSERT_TRUE(held);
  EXPECT_EQ(told(path_), "");
}

TEST_F(LocalSocketTest, RemovesOnlyItsOwnFile) {
  auto socket = LocalSocket::listen(path_);
  ASSERT_TRUE(socket);
  fs::remove(path_);
  std::ofstream(path_) << "somebody else's";
  { const LocalSocket gone = std::move(*socket); }
  EXPECT_TRUE(fs::exists(path_));
}

TEST_F(LocalSocketTest, ReleasedDescriptorsStayOpen) {
  auto socket = LocalSocket::listen(path_);
  ASSERT_TRUE(socket);
  const UniqueFd fd(socket->release());
  EXPECT_EQ(socket->native_handle(), -1);
  EXPECT_TRUE(answers(path_));
}

TEST_F(LocalSocketTest, OfManyStartersExactlyOneWins) {
  // A stale socket lies there, and all of them see it at once.
  { UniqueFd stale(*bind_and_listen(path_, 0600, 1)); }
  int gate[2], results[2];
  ASSERT_EQ(::pipe2(gate, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(results, O_CLOEXEC), 0);
  constexpr int kStarters = 8;
  std::vector<pid_t> children;
  for (int i = 0; i < kStarters; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    ::close(gate[1]);
    char go;
    if (::read(gate[0], &go, 1) != 0) ::_exit(1);
    const auto socket = LocalSocket::listen(path_);
    const char result = socket ? 'w' : 'l';
    if (::write(results[1], &result, 1) != 1) ::_exit(1);
    while (true) ::pause();
  }
  ::close(gate[0]);
  ::close(gate[1]);
  std::string outcome;
  for (char result; outcome.size() < kStarters && ::read(results[0], &result, 1) == 1;) {
    outcome += result;
  }
  EXPECT_EQ(std::ranges::count(outcome, 'w'), 1);
  EXPECT_TRUE(answers(path_));
  for (const pid_t child : children) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  ::close(results[0]);
  ::close(results[1]);
}

}  // namespace
}  // namespace plugind::platform
