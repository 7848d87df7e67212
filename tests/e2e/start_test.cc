// Starting the daemon: options, --check, and the places where it must not start.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class Start : public DaemonTest {
 protected:
  testing::Run plugind(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), kPlugind);
    return testing::run(std::move(arguments), directory_.environment());
  }
  /// The usual arguments, and others.
  testing::Run plugind_here(std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments{"--manifests", directory_.manifests(), "--socket",
                                       directory_.socket(), "--lifeline"};
    for (std::string& one : more) arguments.push_back(std::move(one));
    return plugind(std::move(arguments));
  }
  static std::string refusal(const testing::Run& run) {
    EXPECT_EQ(run.exit, Exit{.code = 1}) << run.err;
    EXPECT_THAT(run.err, HasSubstr("event=start-failed"));
    return run.err;
  }
};

TEST_F(Start, WithWrongOptionsTellsWhichAndExitsWith2) {
  testing::Run run = plugind({"--manifest", "x"});
  EXPECT_EQ(run.exit, Exit{.code = 2});
  EXPECT_THAT(run.err, AllOf(HasSubstr("--manifest"), HasSubstr("--help")));
  run = plugind({"--socket", "tcp:127.0.0.1:0"});
  EXPECT_EQ(run.exit, Exit{.code = 2});
  EXPECT_THAT(run.err, AllOf(HasSubstr("TCP"), HasSubstr("Use a Unix socket")));
  run = plugind({"--log-level", "loud"});
  EXPECT_EQ(run.exit, Exit{.code = 2});
  EXPECT_THAT(run.err, AllOf(HasSubstr("loud"), HasSubstr("warning")));
  for (const char* time : {"5", "us", "-1us", "1s", "11ms", "10001us", "4294967296us"}) {
    run = plugind({std::string("--busy-poll=") + time});
    EXPECT_EQ(run.exit, Exit{.code = 2}) << time;
    EXPECT_THAT(run.err, AllOf(HasSubstr("from 0us to 10ms"), HasSubstr(time)));
  }
  for (const char* time : {"0us", "10ms", "10000us"}) {
    run = plugind_here({"--check", "--busy-poll", time});
    EXPECT_THAT(run.err, ::testing::Not(HasSubstr("--busy-poll"))) << time;
  }
}

TEST_F(Start, TellsVersionAndHelpOnStdout) {
  testing::Run run = plugind({"--version"});
  EXPECT_EQ(run.exit, Exit{.code = 0});
  EXPECT_THAT(run.out, ::testing::StartsWith("plugind 0."));
  run = plugind({"--help"});
  EXPECT_EQ(run.exit, Exit{.code = 0});
  EXPECT_THAT(run.out, AllOf(HasSubstr("--lifeline"), HasSubstr("SIGHUP")));
}

TEST_F(Start, ReadsAConfigurationFile) {
  usual_manifests();
  directory_.write("plugind.toml", "manifests = \"" + directory_.manifests().string() +
                                       "\"\nlog-level = \"debug\"\n");
  const std::string file = directory_.path() / "plugind.toml";
  testing::Run run = plugind({"--config", file, "--check"});
  EXPECT_EQ(run.exit, Exit{.code = 0}) << run.err;
  EXPECT_THAT(run.out, HasSubstr(directory_.manifests().string() + ": all manifests are valid"));

  directory_.write("plugind.toml", "manifest = \"/nowhere\"\n");
  run = plugind({"--config", file, "--check"});
  EXPECT_EQ(run.exit, Exit{.code = 2});
  EXPECT_THAT(run.err, HasSubstr("manifest"));
  run = plugind({"--config", "/nowhere/plugind.toml", "--check"});
  EXPECT_EQ(run.exit, Exit{.code = 2});
  EXPECT_THAT(run.err, HasSubstr("/nowhere/plugind.toml"));
}

TEST_F(Start, ChecksAllManifests) {
  usual_manifests();
  EXPECT_EQ(plugind_here({"--check"}).exit, Exit{.code = 0});
  manifest("one", {"./one"}, "start.timout = '1s'\nscope = 'everybody'\n");
  manifest("two", {"./two"}, "calls.timeout = 5\n");
  directory_.write("manifests/echo-again.toml", "name = 'echo'\ncommand = ['./echo']\n");
  for (const bool check : {true, false}) {
    const testing::Run run =
        plugind_here(check ? std::vector<std::string>{"--check"} : std::vector<std::string>{});
    EXPECT_EQ(run.exit, Exit{.code = 1});
    EXPECT_THAT(run.err, AllOf(HasSubstr("one.toml:3:"), HasSubstr("unknown key `start.timout`"),
                               HasSubstr("did you mean `start.timeout`?"), HasSubstr("one.toml:4:"),
                               HasSubstr("two.toml:3:"), HasSubstr("echo-again.toml")));
    EXPECT_FALSE(fs::exists(directory_.socket()));
  }
}

TEST_F(Start, WithoutManifestDirectoryIsRefused) {
  fs::remove(directory_.manifests());
  EXPECT_THAT(refusal(plugind_here()), HasSubstr(directory_.manifests().string()));
}

TEST_F(Start, ASocketPathOverTheLimitIsRefused) {
  const std::string path = directory_.path() / std::string(120, 'x') / "plugind.sock";
  const std::string text =
      refusal(plugind({"--manifests", directory_.manifests(), "--socket", path}));
  EXPECT_THAT(text, AllOf(HasSubstr("SOCKET_PATH_TOO_LONG"), HasSubstr(path)));
}

TEST_F(Start, ARuntimeDirectoryTooLongForTheDaemonsOwnSocketIsRefused) {
  const fs::path path = directory_.path() / std::string(80, 'x');
  for (const fs::path& one : {path, directory_.runtime()}) {
    fs::create_directory(one);
    fs::permissions(one, fs::perms::owner_all);
  }
  EXPECT_THAT(refusal(plugind_here({"--runtime-dir", path})),
              AllOf(HasSubstr("SOCKET_PATH_TOO_LONG"), HasSubstr(path.string()),
                    HasSubstr("shorter runtime directory")));
}

TEST_F(Start, ASocketThatALiveDaemonHoldsIsRefused) {
  usual_manifests();
  start();
  Bystander bystander(plugin_socket("echo"));
  const std::string text = refusal(plugind_here());
  EXPECT_THAT(text, AllOf(HasSubstr("SOCKET_IN_USE"),
                          HasSubstr("(pid " + std::to_string(daemon().pid()) + ")")));
  EXPECT_EQ(bystander.complaint(), "");
  EXPECT_EQ(answer("echo", "hello"), "hello");
}

TEST_F(Start, ASocketOfSomebodyElseIsRefused) {
  fs::create_directory(directory_.runtime());
  fs::permissions(directory_.runtime(), fs::perms::owner_all);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  directory_.socket().string().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 5), 0);
  EXPECT_THAT(
      refusal(plugind_here()),
      AllOf(HasSubstr("SOCKET_IN_USE"), HasSubstr("(pid " + std::to_string(::getpid()) + ")")));
  EXPECT_TRUE(testing::accepts(directory_.socket()));

  // Now it is a leftover.
  ::close(listener);
  ASSERT_TRUE(fs::exists(directory_.socket()));
  usual_manifests();
  start();
  EXPECT_EQ(answer("echo", "hello"), "hello");
}

TEST_F(Start, AFileInThePlaceOfTheSocketIsLeftAlone) {
  fs::create_directory(directory_.runtime());
  fs::permissions(directory_.runtime(), fs::perms::owner_all);
  directory_.write("run/plugind.sock", "precious");
  EXPECT_THAT(refusal(plugind_here()), HasSubstr("is not a socket"));
  EXPECT_EQ(fs::file_size(directory_.socket()), 8U);
}

TEST_F(Start, ARuntimeDirectoryThatOthersMayWriteToIsRefused) {
  fs::create_directory(directory_.runtime());
  fs::permissions(directory_.runtime(), fs::perms::all);
  EXPECT_THAT(refusal(plugind_here()),
              AllOf(HasSubstr("RUNTIME_DIR_UNSAFE"),
                    HasSubstr("chmod 0700 " + directory_.runtime().string())));
  fs::permissions(directory_.runtime(), fs::perms::owner_all);
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(::chown(directory_.runtime().c_str(), 65534, 65534), 0);
  EXPECT_THAT(refusal(plugind_here()), AllOf(HasSubstr("RUNTIME_DIR_UNSAFE"), HasSubstr("chown "),
                                             HasSubstr(directory_.runtime().string())));
}

TEST_F(Start, LeftoversOfADaemonThatWasKilledAreRemoved) {
  usual_manifests();
  start();
  ASSERT_EQ(answer("kv", "hello"), "hello");
  const fs::path instance = directory_.runtime() / "instances" / "1";
  ASSERT_TRUE(fs::exists(instance));
  ::kill(daemon().pid(), SIGKILL);
  EXPECT_EQ(daemon().process().wait(), Exit{.signal = SIGKILL});
  EXPECT_TRUE(fs::exists(directory_.plugin_socket("kv")));

  fs::remove(directory_.manifests() / "kv.toml");
  start();
  EXPECT_FALSE(fs::exists(instance));
  EXPECT_FALSE(fs::exists(directory_.plugin_socket("kv")));
  EXPECT_EQ(answer("echo", "hello"), "hello");
}

TEST_F(Start, FindsItsSocketInTheEnvironment) {
  usual_manifests();
  auto environment = directory_.environment();
  environment["PLUGIND_SOCKET"] = "unix:" + directory_.socket().string();
  testing::ChildProcess process({kPlugind, "--manifests", directory_.manifests(), "--lifeline"},
                                environment);
  ASSERT_TRUE(eventually([&] { return testing::accepts(directory_.socket()); })) << process.err();
  EXPECT_EQ(answer("echo", "hello"), "hello");
  process.close_stdin();
  EXPECT_EQ(process.wait(), Exit{.code = 0});
}

}  // namespace
}  // namespace plugind::e2e
