#include "daemon/platform/rotated_file.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "test_support.h"

namespace plugind::platform {
namespace {

namespace fs = std::filesystem;

mode_t mode_of(const fs::path& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class RotatedFileTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directory(path_); }

  void append(RotatedFile& file, std::string_view lines, RotatedFile::Rotation rotation) {
    const auto outcome = file.append(lines, rotation);
    EXPECT_FALSE(outcome.error) << outcome.error->message;
    EXPECT_EQ(outcome.written, lines.size());
  }
  void expect_refused(RotatedFile& file, const std::string& words) {
    const auto outcome = file.append("line\n", kLarge);
    ASSERT_TRUE(outcome.error);
    EXPECT_EQ(outcome.written, 0u);
    EXPECT_NE(outcome.error->message.find(words), std::string::npos) << outcome.error->message;
    EXPECT_NE(outcome.error->message.find(path_.string()), std::string::npos);
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }

  static constexpr RotatedFile::Rotation kLarge{.size = 1 << 20, .files = 5};
  TemporaryDirectory directory_;
  const fs::path path_ = directory_.path() / "logs";
  const fs::path log_ = path_ / "kv.log";
  RotatedFile file_{path_, "kv.log"};
};

TEST_F(RotatedFileTest, TheDirectoryIsMadeWithItsParents) {
  const fs::path path = directory_.path() / "a" / "b";
  const mode_t old = ::umask(022);
  const auto made = make_log_dir(path);
  ::umask(old);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(mode_of(path), 0750u);
  EXPECT_TRUE(make_log_dir(path));  // it may be there already

  const fs::path link = directory_.path() / "link";
  fs::create_symlink(path, link);
  EXPECT_TRUE(make_log_dir(link));
}

TEST_F(RotatedFileTest, ADirectoryThatOthersMayChangeIsRefusedAlsoLater) {
  for (const mode_t mode : {0770, 0757, 01777}) {
    ::chmod(path_.c_str(), mode);
    const auto made = make_log_dir(path_);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().reason, Reason::kConfigInvalid);
    EXPECT_NE(made.error().message.find("run chmod 0750 " + path_.string()), std::string::npos);
    expect_refused(file_, "may be written to by others");
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(RotatedFileTest, SomebodyElsesDirectoryIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(::chown(path_.c_str(), 12'345, 12'345), 0);
  const auto made = make_log_dir(path_);
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().message.find("run chown 0 " + path_.string()), std::string::npos);
  expect_refused(file_, "belongs to uid 12345");
}

TEST_F(RotatedFileTest, WhatIsNoDirectoryIsRefused) {
  EXPECT_FALSE(make_log_dir("/dev/null"));
  EXPECT_FALSE(make_log_dir("/proc/1/nothing"));
}

TEST_F(RotatedFileTest, CanBeAskedForBeforeItIsMade) {
  EXPECT_TRUE(check_log_dir(path_));
  const fs::path below = directory_.path() / "a" / "b";
  EXPECT_TRUE(check_log_dir(below));
  EXPECT_FALSE(fs::exists(directory_.path() / "a"));
  ::chmod(path_.c_str(), 0777);
  const auto unsafe = check_log_dir(path_);
  ASSERT_FALSE(unsafe);
  EXPECT_NE(unsafe.error().message.find("run chmod 0750 " + path_.string()), std::string::npos);
  for (const char* path : {"/dev/null", "/dev/null/logs", "/dev/null/a/b"}) {
    const auto checked = check_log_dir(path);
    ASSERT_FALSE(checked) << path;
    EXPECT_NE(checked.error().message.find(path), std::string::npos) << checked.error().message;
  }
}

TEST_F(RotatedFileTest, AppendsToWhatIsThereWithMode0640) {
  for (const mode_t mask : {0, 0777}) {
    fs::remove(log_);
    const mode_t old = ::umask(mask);
    append(file_, "one\n", kLarge);
    ::umask(old);
    EXPECT_EQ(mode_of(log_), 0640u);
  }
  append(file_, "two\nthree\n", kLarge);
  RotatedFile again(path_, "kv.log");  // of the next daemon
  append(again, "four\n", kLarge);
  EXPECT_EQ(content(log_), "one\ntwo\nthree\nfour\n");
  EXPECT_EQ(file_.path(), log_);
}

TEST_F(RotatedFileTest, RotatesBetweenLines) {
  const RotatedFile::Rotation rotation{.size = 8, .files = 3};
  append(file_, "1__\n", rotation);
  append(file_, "2__\n3__\n", rotation);
  EXPECT_EQ(content(log_), "3__\n");
  EXPECT_EQ(content(path_ / "kv.log.1"), "1__\n2__\n");
  append(file_, "4__\n5__\n6__\n7__\n8__\n", rotation);
  EXPECT_EQ(content(log_), "7__\n8__\n");
  EXPECT_EQ(content(path_ / "kv.log.1"), "5__\n6__\n");
  EXPECT_EQ(content(path_ / "kv.log.2"), "3__\n4__\n");
  EXPECT_EQ(files(), 3u);
  EXPECT_EQ(mode_of(log_), 0640u);
}

TEST_F(RotatedFileTest, OfOneFileTheOldIsDropped) {
  const RotatedFile::Rotation rotation{.size = 8, .files = 1};
  append(file_, "1__\n2__\n3__\n", rotation);
  EXPECT_EQ(content(log_), "3__\n");
  EXPECT_EQ(files(), 1u);
}

TEST_F(RotatedFileTest, FilesThatAreTooManyNowAreRemoved) {
  const std::string lines = "1__\n2__\n3__\n4__\n5__\n";
  append(file_, lines, {.size = 4, .files = 5});
  EXPECT_EQ(files(), 5u);
  append(file_, "6__\n", {.size = 4, .files = 2});
  EXPECT_EQ(files(), 2u);
  EXPECT_EQ(content(log_) + content(path_ / "kv.log.1"), "6__\n5__\n");
}

TEST_F(RotatedFileTest, ALineLargerThanAFileHasOneOfItsOwn) {
  append(file_, "1\n" + std::string(20, 'x') + "\n2\n", {.size = 8, .files = 5});
  EXPECT_EQ(content(path_ / "kv.log.2"), "1\n");
  EXPECT_EQ(content(path_ / "kv.log.1"), std::string(20, 'x') + "\n");
  EXPECT_EQ(content(log_), "2\n");
}

TEST_F(RotatedFileTest, AfterHalfALineThereIsALineEnd) {
  std::ofstream(log_) << "1\nhalf a li";  // As a daemon leaves it that is killed.
  append(file_, "2\n", kLarge);
  EXPECT_EQ(content(log_), "1\nhalf a li\n2\n");
}

TEST_F(RotatedFileTest, AClosedFileHasNoDescriptorUntilThereIsMore) {
  const auto descriptors = [this] {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (fs::read_symlink(entry, gone).parent_path() == path_) ++count;
    }
    return count;
  };
  append(file_, "1\n", kLarge);
  EXPECT_EQ(descriptors(), 1);
  file_.close();
  EXPECT_EQ(descriptors(), 0);
  append(file_, "2\n", {.size = 4, .files = 2});
  append(file_, "3\n", {.size = 4, .files = 2});
  EXPECT_EQ(content(log_), "3\n");
  EXPECT_EQ(descriptors(), 1);
}

TEST_F(RotatedFileTest, FollowsItsNameWhateverOthersDo) {
  append(file_, "1\n", kLarge);
  fs::rename(log_, path_ / "kv.log-yesterday");  // logrotate
  append(file_, "2\n", kLarge);
  EXPECT_EQ(content(log_), "2\n");
  fs::remove(log_);
  append(file_, "3\n", kLarge);
  EXPECT_EQ(content(log_), "3\n");
  fs::resize_file(log_, 0);  // logrotate's copytruncate
  append(file_, "4\n", kLarge);
  EXPECT_EQ(content(log_), "4\n");
  fs::rename(log_, path_ / "kv.log-today");  // logrotate, with a file that it makes itself
  std::ofstream(log_).close();
  append(file_, "5\n", kLarge);
  EXPECT_EQ(content(log_), "5\n");
  EXPECT_EQ(content(path_ / "kv.log-today"), "4\n");
  fs::rename(path_, directory_.path() / "elsewhere");
  fs::create_directory(path_);
  append(file_, "6\n", kLarge);
  EXPECT_EQ(content(log_), "6\n");
}

TEST_F(RotatedFileTest, ADirectoryThatWasRemovedIsUsedAgainWhenItIsBack) {
  append(file_, "1\n", kLarge);
  fs::remove_all(path_);
  expect_refused(file_, "ENOENT");
  fs::create_directory(path_);
  append(file_, "2\n", kLarge);
  EXPECT_EQ(content(log_), "2\n");
}

TEST_F(RotatedFileTest, WhatIsNoFileIsLeftAlone) {
  const fs::path secret = directory_.path() / "secret";
  std::ofstream(secret) << "secret";
  fs::create_symlink(secret, log_);
  expect_refused(file_, "kv.log");
  EXPECT_EQ(content(secret), "secret");
  fs::remove(log_);
  ASSERT_EQ(::mkfifo(log_.c_str(), 0600), 0);
  expect_refused(file_, "kv.log");  // does not wait for a reader
  const UniqueFd reader(::open(log_.c_str(), O_RDONLY | O_NONBLOCK));
  expect_refused(file_, "is not a file");
  fs::remove(log_);
  fs::create_directory(log_);
  expect_refused(file_, "kv.log");
}

TEST_F(RotatedFileTest, AnOldFileThatCannotBeReplacedStopsTheNewOneFromGrowing) {
  fs::create_directories(path_ / "kv.log.1" / "not-empty");
  const auto outcome = file_.append("1__\n2__\n3__\n", {.size = 8, .files = 2});
  ASSERT_TRUE(outcome.error);
  EXPECT_EQ(outcome.written, 8u);
  EXPECT_EQ(content(log_), "1__\n2__\n");
}

TEST_F(RotatedFileTest, NamesStayInTheDirectory) {
  for (const char* name : {"../kv.log", "a/b", "/tmp/kv.log", "..", ".", ""}) {
    RotatedFile file(path_, name);
    expect_refused(file, "is not a name for a file");
  }
  EXPECT_EQ(files(), 0u);
}

/// As a full disk does it: of what is written there is room for a part.
class Room {
 public:
  explicit Room(rlim_t size) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit tight{size, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  }
  ~Room() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    ::signal(SIGXFSZ, old_);
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

 private:
  void (*const old_)(int) = ::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before_;
};

TEST_F(RotatedFileTest, WhatDoesNotFitIsLeftOutInWholeLines) {
  append(file_, "1__\n", kLarge);
  RotatedFile::Outcome outcome;
  {
    const Room room(10);
    outcome = file_.append("2__\n3__\n4__\n", kLarge);
  }
  ASSERT_TRUE(outcome.error);
  EXPECT_NE(outcome.error->message.find("EFBIG"), std::string::npos) << outcome.error->message;
  EXPECT_EQ(outcome.written, 4u);
  append(file_, "5__\n", kLarge);
  EXPECT_EQ(content(log_), "1__\n2__\n5__\n");
}

TEST_F(RotatedFileTest, WhatBelongsTogetherIsWrittenWholeOrNotAtAll) {
  append(file_, "1__\n", kLarge);
  {
    const Room room(13);
    auto outcome = file_.append("2__\n3__\n4__\n", kLarge, 12);
    EXPECT_TRUE(outcome.error);
    EXPECT_EQ(outcome.written, 0u);
    EXPECT_EQ(content(log_), "1__\n");
    outcome = file_.append("2__\n3__\n4__\n", kLarge, 8);
    EXPECT_TRUE(outcome.error);
    EXPECT_EQ(outcome.written, 8u);
  }
  EXPECT_EQ(content(log_), "1__\n2__\n3__\n");
}

}  // namespace
}  // namespace plugind::platform
