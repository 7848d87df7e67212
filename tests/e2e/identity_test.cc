// Who may do what, with processes that really are other users.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Of nobody on any system; numbers need no entry anywhere.
const std::string kAda = "61001:61001", kBob = "61002:61002", kBobInDev = "61002:61002:61070",
                  kOperator = "61003:61003:61050";

class Identity : public DaemonTest {
 protected:
  void SetUp() override {
    if (::geteuid() != 0)
      GTEST_SKIP() << "only root can make processes of other users; run as root";
    // mkdtemp made it for us alone, and others are to reach the socket in it.
    ASSERT_EQ(::chmod(directory_.path().c_str(), 0711), 0);
  }
  std::string call(const std::string& user, const std::string& plugin,
                   const std::string& payload = "hello") {
    return HostProcess(directory_, plugin, user).call(payload);
  }
  testing::Run pluginctl(const std::string& user, std::vector<std::string> arguments) {
    // A copy: the build directory may be closed to others.
    const auto program = directory_.path() / "pluginctl";
    if (!std::filesystem::exists(program)) {
      std::filesystem::copy_file(PLUGINCTL, program);
      EXPECT_EQ(::chmod(program.c_str(), 0755), 0);
    }
    arguments.insert(arguments.begin(), {std::filesystem::read_symlink("/proc/self/exe"), "--as",
                                         user, program, "--socket", directory_.socket()});
    return testing::run(std::move(arguments));
  }
};

TEST_F(Identity, ByDefaultOtherUsersCannotConnect) {
  usual_manifests();
  start();
  EXPECT_THAT(call(kAda, "echo"), StartsWith("DAEMON_UNREACHABLE "));
  const testing::Run refused = pluginctl(kAda, {"list"});
  EXPECT_EQ(refused.exit, Exit{.code = 3}) << refused.err;
  EXPECT_EQ(answer("echo", "hello"), "hello") << "root and the daemon's user";
}

TEST_F(Identity, AccessListsNameUsersAndGroups) {
  manifest("open", {kTestPlugin});
  manifest("ada", {kTestPlugin}, "access.users = [61001]\n");
  manifest("dev", {kTestPlugin}, "access.groups = [61070]\n");
  manifest("nobody", {kTestPlugin}, "access.users = []\n");
  start({"--socket-mode", "0666"});
  for (const std::string& user : {kAda, kBob, kBobInDev}) EXPECT_EQ(call(user, "open"), "hello");
  EXPECT_EQ(call(kAda, "ada"), "hello");
  EXPECT_EQ(call(kBobInDev, "dev"), "hello");
  EXPECT_THAT(call(kBob, "ada"),
              StartsWith("PERMISSION_DENIED uid 61002 may not call plugin 'ada'"));
  EXPECT_THAT(call(kBobInDev, "ada"), StartsWith("PERMISSION_DENIED "));
  EXPECT_THAT(call(kBob, "dev"), StartsWith("PERMISSION_DENIED "));
  EXPECT_THAT(call(kAda, "nobody"), StartsWith("PERMISSION_DENIED "));
  EXPECT_EQ(answer("nobody", "hello"), "hello") << "root and the daemon's user";

  // The plugin is told who it really is.
  EXPECT_THAT(call(kAda, "open", "!metadata"), HasSubstr("plugind-peer-uid=61001"));
}

TEST_F(Identity, OperatingTheDaemonIsForItsUserRootAndAdmins) {
  usual_manifests();
  start({"--socket-mode", "0666", "--admin-group", "61050"});
  for (const std::vector<std::string>& command : {std::vector<std::string>{"start", "echo"},
                                                  {"restart", "echo"},
                                                  {"stop", "echo"},
                                                  {"reload"}}) {
    const testing::Run refused = pluginctl(kAda, command);
    EXPECT_EQ(refused.exit, Exit{.code = 5}) << command[0];
    EXPECT_THAT(refused.err,
                AllOf(StartsWith("pluginctl: PERMISSION_DENIED (PERMISSION_DENIED): uid 61001 may "
                                 "not call /plugind.v1.PluginHost/"),
                      HasSubstr("as the daemon's user (uid 0)"), HasSubstr("61050")))
        << command[0];
  }
  EXPECT_EQ(get_plugin("echo").starts(), 0U);
  EXPECT_THAT(pluginctl(kAda, {"stop", "echo", "--json"}).err,
              HasSubstr("\"reason\":\"PERMISSION_DENIED\""));
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"list"}, {"status", "echo"}, {"version"}, {"logs", "echo"}}) {
    EXPECT_EQ(pluginctl(kAda, command).exit, Exit{.code = 0}) << command[0];
  }
  EXPECT_EQ(pluginctl(kOperator, {"start", "echo"}).out, "echo is ready\n");
  EXPECT_EQ(pluginctl(kOperator, {"reload"}).exit, Exit{.code = 0});
  EXPECT_EQ(pluginctl("0:0", {"stop", "echo"}).out, "echo is stopped\n");
}

TEST_F(Identity, AGroupMayBeGivenTheSocket) {
  usual_manifests();
  start({"--socket-group", "61070"});
  struct stat info;
  for (const auto& path : {directory_.socket(), directory_.plugin_socket("echo")}) {
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0660U) << path;
    EXPECT_EQ(info.st_gid, 61070U) << path;
  }
  EXPECT_EQ(call(kBobInDev, "echo"), "hello");
  EXPECT_THAT(call(kAda, "echo"), StartsWith("DAEMON_UNREACHABLE "));
  // Nobody gets past the forwarder to the control service or to an instance.
  ASSERT_EQ(::stat((directory_.runtime() / "instances").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
  EXPECT_TRUE(std::filesystem::exists(directory_.runtime() / "instances" / "control.sock"));
}

TEST_F(Identity, WhoIsShutOutByTheDirectoryIsToldAtTheStart) {
  std::filesystem::create_directories(directory_.runtime());
  ASSERT_EQ(::chmod(directory_.runtime().c_str(), 0700), 0);
  const testing::Run run = testing::run({kPlugind, "--socket", directory_.socket(), "--manifests",
                                         directory_.manifests(), "--socket-mode", "0666"});
  EXPECT_EQ(run.exit, Exit{.code = 1});
  EXPECT_THAT(run.err, AllOf(HasSubstr("CONFIG_INVALID"),
                             HasSubstr("run chmod 0711 " + directory_.runtime().string())));
}

TEST_F(DaemonTest, UnknownAccountsAreMistakesOfTheManifest) {
  manifest("echo", {kTestPlugin}, "access.users = ['root', 'no-such-user']\n");
  manifest("kv", {kTestPlugin}, "access.groups = ['no-such-group']\n");
  const testing::Run run = testing::run({kPlugind, "--socket", directory_.socket(), "--manifests",
                                         directory_.manifests(), "--check"});
  EXPECT_EQ(run.exit, Exit{.code = 1});
  EXPECT_THAT(run.err, HasSubstr("echo.toml:3:25: `access.users`: \"no-such-user\" is no user of "
                                 "this system\n"));
  EXPECT_THAT(run.err, HasSubstr("kv.toml:3:18: `access.groups`: \"no-such-group\" is no group of "
                                 "this system\n"));
}

}  // namespace
}  // namespace plugind::e2e
