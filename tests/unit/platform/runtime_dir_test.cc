#include "daemon/platform/runtime_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "test_support.h"

namespace plugind::platform {
namespace {

namespace fs = std::filesystem;

mode_t mode_of(const fs::path& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

class RuntimeDirTest : public testing::Test {
 protected:
  void expect_unsafe(const fs::path& path, const std::string& words) {
    const auto looked = RuntimeDir::check(path);
    const auto result = RuntimeDir::open(path);
    ASSERT_FALSE(looked);
    ASSERT_FALSE(result);
    EXPECT_EQ(looked.error().reason, result.error().reason);
    EXPECT_EQ(looked.error().message, result.error().message);
    EXPECT_EQ(result.error().reason, Reason::kRuntimeDirUnsafe) << result.error().message;
    EXPECT_NE(result.error().message.find(words), std::string::npos) << result.error().message;
    EXPECT_NE(result.error().message.find(path.string()), std::string::npos);
  }

  static std::expected<void, Error> opened(const fs::path& path) {
    const auto result = RuntimeDir::open(path);
    if (!result) return std::unexpected(result.error());
    return {};
  }

  TemporaryDirectory directory_;
  fs::path path_ = directory_.path() / "parent" / "plugind";
};

TEST_F(RuntimeDirTest, MakesPrivateDirectories) {
  const mode_t old = ::umask(0);
  const auto result = RuntimeDir::open(path_);
  ::umask(old);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(mode_of(path_), 0700u);
  EXPECT_EQ(mode_of(result->plugins()), 0700u);
  EXPECT_EQ(mode_of(result->instances()), 0700u);
  EXPECT_TRUE(RuntimeDir::open(path_));  // it may be there already
}

TEST_F(RuntimeDirTest, AStrictUmaskDoesNotLockUsOut) {
  fs::create_directories(path_.parent_path());
  const mode_t old = ::umask(0777);
  const auto result = RuntimeDir::open(path_);
  ::umask(old);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(mode_of(result->plugins()), 0700u);
}

TEST_F(RuntimeDirTest, RefusesWhatOthersMayWriteTo) {
  fs::create_directories(path_);
  ::chmod(path_.c_str(), 0775);
  expect_unsafe(path_, "run chmod 0700 " + path_.string());
  ::chmod(path_.c_str(), 01777);
  expect_unsafe(path_, "use one of plugind's own, such as " + path_.string() + "/plugind");
  ::chmod(path_.c_str(), 0755);
  EXPECT_TRUE(RuntimeDir::open(path_));
}

TEST_F(RuntimeDirTest, RefusesAnUnsafeSubdirectory) {
  fs::create_directories(path_ / "instances");
  ::chmod(path_.c_str(), 0700);
  ::chmod((path_ / "instances").c_str(), 0777);
  for (const auto& refusal : {RuntimeDir::check(path_), opened(path_)}) {
    ASSERT_FALSE(refusal);
    EXPECT_EQ(refusal.error().reason, Reason::kRuntimeDirUnsafe);
  }
}

TEST_F(RuntimeDirTest, ACheckMakesAndChangesNothing) {
  EXPECT_TRUE(RuntimeDir::check(path_, Reach::kOthers));
  EXPECT_TRUE(fs::is_empty(directory_.path()));
  fs::create_directories(path_);
  ::chmod(path_.c_str(), 0700);
  EXPECT_TRUE(RuntimeDir::check(path_));
  EXPECT_TRUE(fs::is_empty(path_));
  ASSERT_TRUE(RuntimeDir::open(path_));
  ::chmod((path_ / "plugins").c_str(), 0755);
  EXPECT_TRUE(RuntimeDir::check(path_));
  EXPECT_EQ(mode_of(path_ / "plugins"), 0755u);
}

TEST_F(RuntimeDirTest, ACheckTellsWhatCannotBeMade) {
  std::ofstream(directory_.path() / "file") << "x";
  fs::permissions(directory_.path() / "file", fs::perms::all);
  const fs::path path = directory_.path() / "file" / "plugind";
  const auto looked = RuntimeDir::check(path);
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().message, "cannot make the directory " + path.string() + " in " +
                                        path.parent_path().string() +
                                        ": Not a directory (ENOTDIR)");
}

TEST_F(RuntimeDirTest, ACheckTellsThatTheDaemonsOwnSocketHasNoRoom) {
  const fs::path path = directory_.path() / std::string(100, 'x');
  const auto looked = RuntimeDir::check(path);
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().reason, Reason::kSocketPathTooLong);
  EXPECT_NE(looked.error().message.find(path.string()), std::string::npos);
}

TEST_F(RuntimeDirTest, RefusesWhatBelongsToSomebodyElse) {
  if (::geteuid() == 0) {
    fs::create_directories(path_);
    ::chmod(path_.c_str(), 0700);
    ASSERT_EQ(::chown(path_.c_str(), 65534, 65534), 0);
    expect_unsafe(path_, "run chown 0 " + path_.string());
  } else {
    expect_unsafe("/proc/1", "run chown " + std::to_string(::geteuid()));
  }
}

TEST_F(RuntimeDirTest, OthersMayPassToTheSocketsIfTheyAreToAndNoFurther) {
  const mode_t old = ::umask(077);
  const auto result = RuntimeDir::open(path_, Reach::kOthers);
  ::umask(old);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(mode_of(path_), 0711u);
  EXPECT_EQ(mode_of(result->plugins()), 0711u);
  EXPECT_EQ(mode_of(result->instances()), 0700u);
  EXPECT_EQ(result->control_socket().parent_path(), result->instances());
  // With the next settings they may not any more.
  EXPECT_TRUE(RuntimeDir::open(path_));
  EXPECT_EQ(mode_of(result->plugins()), 0700u);
}

TEST_F(RuntimeDirTest, ADirectoryThatIsThereKeepsItsModeAndMustLetOthersPass) {
  fs::create_directories(path_);
  ::chmod(path_.c_str(), 0700);
  const auto looked = RuntimeDir::check(path_, Reach::kOthers);
  const auto closed = RuntimeDir::open(path_, Reach::kOthers);
  ASSERT_FALSE(looked);
  ASSERT_FALSE(closed);
  EXPECT_EQ(looked.error().message, closed.error().message);
  EXPECT_EQ(closed.error().reason, Reason::kConfigInvalid);
  EXPECT_NE(closed.error().message.find("has mode 0700"), std::string::npos);
  EXPECT_NE(closed.error().message.find("run chmod 0711 " + path_.string()), std::string::npos);
  for (const mode_t mode : {0710, 0711, 0755}) {
    ::chmod(path_.c_str(), mode);
    EXPECT_TRUE(RuntimeDir::check(path_, Reach::kOthers)) << mode;
    EXPECT_TRUE(RuntimeDir::open(path_, Reach::kOthers)) << mode;
    EXPECT_EQ(mode_of(path_), mode);
  }
}

TEST_F(RuntimeDirTest, RefusesASymbolicLink) {
  fs::create_directories(path_.parent_path() / "real");
  fs::create_symlink("real", path_);
  expect_unsafe(path_, "symbolic link");
}

TEST_F(RuntimeDirTest, RefusesARelativePath) {
  for (const auto& refusal : {RuntimeDir::check("plugind"), opened("plugind")}) {
    ASSERT_FALSE(refusal);
    EXPECT_EQ(refusal.error().reason, Reason::kConfigInvalid);
  }
}

TEST_F(RuntimeDirTest, ClearsWhatADeadDaemonLeft) {
  const auto result = RuntimeDir::open(path_);
  ASSERT_TRUE(result);
  const fs::path kept = directory_.path() / "kept";
  fs::create_directories(kept);
  std::ofstream(kept / "file") << "precious";
  fs::create_directories(result->instances() / "kv#1" / "tmp" / "deep");
  std::ofstream(result->instances() / "kv#1" / "tmp" / "deep" / "file") << "x";
  std::ofstream(result->plugins() / "kv.sock") << "x";
  fs::create_directory_symlink(kept, result->instances() / "kv#1" / "link");
  ::chmod((result->instances() / "kv#1" / "tmp").c_str(), 0);
  const auto cleared = result->clear_leftovers();
  ASSERT_TRUE(cleared) << cleared.error().message;
  EXPECT_TRUE(fs::is_empty(result->instances()));
  EXPECT_TRUE(fs::is_empty(result->plugins()));
  EXPECT_TRUE(fs::exists(kept / "file"));
}

TEST_F(RuntimeDirTest, RemovesATreeButNotThroughALink) {
  const fs::path kept = directory_.path() / "kept";
  fs::create_directories(kept);
  std::ofstream(kept / "file") << "precious";
  fs::create_directories(path_ / "a" / "b");
  fs::create_symlink(kept, path_ / "a" / "link");
  const fs::path link = directory_.path() / "link";
  fs::create_symlink(kept, link);
  EXPECT_TRUE(remove_tree(path_));
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_TRUE(remove_tree(link));
  EXPECT_FALSE(fs::exists(fs::symlink_status(link)));
  EXPECT_TRUE(fs::exists(kept / "file"));
  EXPECT_TRUE(remove_tree(path_));  // nothing there
}

TEST_F(RuntimeDirTest, ATreeTooDeepIsAnError) {
  fs::path deep = path_;
  for (int i = 0; i < 80; ++i) deep /= "d";
  fs::create_directories(deep);
  const auto removed = remove_tree(path_);
  ASSERT_FALSE(removed);
  EXPECT_NE(removed.error().message.find("nested deeper"), std::string::npos);
}

class DefaultAddressTest : public testing::Test {
 protected:
  struct Saved {
    explicit Saved(const char* variable) : name(variable) {
      if (const char* value = std::getenv(variable)) old = value;
      ::unsetenv(variable);
    }
    ~Saved() { old ? ::setenv(name, old->c_str(), 1) : ::unsetenv(name); }
    const char* name;
    std::optional<std::string> old;
  } socket_{"PLUGIND_SOCKET"}, runtime_{"XDG_RUNTIME_DIR"};
};

TEST_F(DefaultAddressTest, FollowsTheEnvironment) {
  EXPECT_EQ(default_socket_address(), "unix:/run/plugind/plugind.sock");
  ::setenv("XDG_RUNTIME_DIR", "relative", 1);  // the specification says to ignore it
  EXPECT_EQ(default_socket_address(), "unix:/run/plugind/plugind.sock");
  ::setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
  EXPECT_EQ(default_socket_address(), "unix:/run/user/7/plugind/plugind.sock");
  ::setenv("PLUGIND_SOCKET", "tcp:localhost:1", 1);
  EXPECT_EQ(default_socket_address(), "tcp:localhost:1");
  ::setenv("PLUGIND_SOCKET", "", 1);
  EXPECT_EQ(default_socket_address(), "unix:/run/user/7/plugind/plugind.sock");
}

}  // namespace
}  // namespace plugind::platform
