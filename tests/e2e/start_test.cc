// Starting the daemon: options, --check, and the places where it must not start.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <thread>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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
    EXPECT_THAT(run.err, Not(HasSubstr("--busy-poll"))) << time;
  }
}

TEST_F(Start, WithoutWorkersHasTheUsualNumberForThisMachine) {
  usual_manifests();
  daemon_ = std::make_unique<testing::DaemonProcess>(directory_, std::vector<std::string>{},
                                                     std::vector<std::string>{kPlugind},
                                                     testing::Workers::kNotSaid);
  ASSERT_TRUE(daemon().wait_started()) << daemon().log();
  cgroup_ = daemon().cgroup();
  const unsigned usual = std::clamp(std::thread::hardware_concurrency() / 2, 1u, 8u);
  EXPECT_THAT(daemon().log(), HasSubstr(" workers=" + std::to_string(usual) + " "));
  EXPECT_EQ(answer("echo", "hello"), "hello");
}

/// The sockets that a process has open.
std::size_t sockets_of(pid_t pid) {
  const fs::path descriptors = fs::path("/proc") / std::to_string(pid) / "fd";
  return static_cast<std::size_t>(
      std::ranges::count_if(fs::directory_iterator(descriptors), [](const auto& entry) {
        std::error_code closed;
        return fs::read_symlink(entry.path(), closed).string().starts_with("socket:");
      }));
}

TEST_F(Start, WithWorkersSpreadsTheConnectionsOverThem) {
  usual_manifests();
  // Each loop whose hosts call the plugin has a connection to it.
  const auto sockets_of_plugin = [this](const std::string& workers) {
    daemon_ = std::make_unique<testing::DaemonProcess>(
        directory_, std::vector<std::string>{"--workers", workers},
        std::vector<std::string>{kPlugind}, testing::Workers::kNotSaid);
    EXPECT_TRUE(daemon().wait_started()) << daemon().log();
    cgroup_ = daemon().cgroup();
    std::vector<std::shared_ptr<grpc::Channel>> hosts;
    for (int i = 0; i < 6; ++i) {
      hosts.push_back(front());
      EXPECT_TRUE(call(hosts.back(), "hello", nullptr, "echo").ok());
    }
    const std::size_t sockets =
        sockets_of(static_cast<pid_t>(get_plugin("echo").instances(0).pid()));
    hosts.clear();
    stop();
    return sockets;
  };
  EXPECT_EQ(sockets_of_plugin("3"), sockets_of_plugin("1") + 2);
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

  directory_.write("plugind.toml",
                   "manifest = \"/nowhere\"\nlifeline = true\n[log]\nlevel = \"debug\"\n");
  run = plugind({"--config", file, "--check"});
  EXPECT_EQ(run.exit, Exit{.code = 2});
  EXPECT_THAT(run.err, AllOf(HasSubstr("has `manifest`, which is no option\n"),
                             HasSubstr("has `log.level`, which is no option\n"),
                             Not(HasSubstr("lifeline"))));
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

TEST_F(Start, ChecksAllThatAStartWouldBeRefusedFor) {
  manifest("one", {"./one"}, "start.timout = '1s'\n");
  fs::create_directory(directory_.runtime());
  fs::permissions(directory_.runtime(), fs::perms::all);
  directory_.write("run/plugind.sock", "precious");
  const std::string logs = directory_.path() / "logs";
  fs::create_directory(logs);
  fs::permissions(logs, fs::perms::all);
  directory_.write("plugind.toml", "busy-pole = \"1us\"\nsocket-mode = \"0777\"\n");
  const std::vector<std::string> wrong_options{
      "--config",          directory_.path() / "plugind.toml",
      "--log-level",       "loud",
      "--workers",         "65",
      "--busy-poll",       "1s",
      "--max-connections", "1"};
  const auto of_options = AllOf(
      HasSubstr("has `busy-pole`, which is no option\n"), HasSubstr("\nplugind: --socket-mode"),
      HasSubstr("\"loud\""), HasSubstr("\"65\""), HasSubstr("\"1s\""),
      HasSubstr("--max-connections: must be from 32 to 1000000, not 1\n"));
  const auto of_the_rest =
      AllOf(HasSubstr("one.toml:3:7: unknown key `start.timout`"),
            HasSubstr(directory_.socket().string() + " exists and is not a socket"),
            HasSubstr("run chmod 0700 " + directory_.runtime().string() + "\n"),
            HasSubstr("run chmod 0750 " + logs + "\n"));

  std::vector<std::string> arguments = wrong_options;
  arguments.insert(arguments.end(), {"--log-dir", logs, "--check"});
  testing::Run run = plugind_here(arguments);
  EXPECT_EQ(run.exit, Exit{.code = 2});
  EXPECT_THAT(run.err, AllOf(of_options, of_the_rest));
  EXPECT_EQ(std::ranges::count(run.err, '\n'), 10) << "nothing twice: " << run.err;
  run = plugind_here(wrong_options);
  EXPECT_EQ(run.exit, Exit{.code = 2});
  EXPECT_THAT(run.err, AllOf(of_options, Not(HasSubstr("one.toml")), HasSubstr("--help")));
  run = plugind_here({"--log-dir", logs, "--check"});
  EXPECT_EQ(run.exit, Exit{.code = 1});
  EXPECT_THAT(run.err, of_the_rest);
  EXPECT_EQ(run.out, "");
  EXPECT_EQ(fs::file_size(directory_.socket()), 8U);
}

TEST_F(Start, AnAddressThatIsWrongHidesNoOtherMistake) {
  manifest("one", {"./one"}, "start.timout = '1s'\n");
  const testing::Run run =
      plugind({"--socket", "tcp:127.0.0.1:5000", "--manifests", directory_.manifests(), "--check"});
  EXPECT_EQ(run.exit, Exit{.code = 2});
  EXPECT_THAT(run.err, AllOf(HasSubstr("does not listen on TCP"), HasSubstr("one.toml:3:7")));
}

TEST_F(Start, ACheckOfGoodOptionsPassesBeforeWhileAndAfterADaemonRunsAndMakesNothing) {
  usual_manifests();
  EXPECT_EQ(plugind_here({"--check"}).exit, Exit{.code = 0});
  EXPECT_FALSE(fs::exists(directory_.runtime()));
  start();
  const testing::Run run = plugind_here({"--check"});
  EXPECT_EQ(run.exit, Exit{.code = 0}) << run.err;
  EXPECT_EQ(answer("echo", "hello"), "hello");
  stop();
  EXPECT_EQ(plugind_here({"--check"}).exit, Exit{.code = 0});
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
  const testing::Run checked =
      plugind({"--manifests", directory_.manifests(), "--socket", path, "--check"});
  EXPECT_EQ(checked.exit, Exit{.code = 1});
  EXPECT_THAT(checked.err, HasSubstr("the socket path " + path + " has "));
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
  const testing::Run checked = plugind_here({"--runtime-dir", path, "--check"});
  EXPECT_EQ(checked.exit, Exit{.code = 1});
  EXPECT_THAT(checked.err, AllOf(HasSubstr(path.string()), HasSubstr("shorter runtime directory")));
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
  const testing::Run checked = plugind_here({"--check"});
  EXPECT_EQ(checked.exit, Exit{.code = 1});
  EXPECT_THAT(checked.err, HasSubstr("; or check as uid 65534, if that is the user"));
}

TEST_F(Start, NothingIsLeftOfADaemonThatWasKilled) {
  usual_manifests();
  start();
  ASSERT_EQ(answer("kv", "hello"), "hello");
  const fs::path instance = directory_.runtime() / "instances" / "1";
  ASSERT_TRUE(fs::exists(instance));
  ::kill(daemon().pid(), SIGKILL);
  EXPECT_EQ(daemon().process().wait(), Exit{.signal = SIGKILL});
  EXPECT_FALSE(fs::exists(instance));
  EXPECT_FALSE(fs::exists(directory_.plugin_socket("kv")));
  EXPECT_FALSE(fs::exists(directory_.socket()));
}

TEST_F(Start, LeftoversOfADaemonThatWasKilledWithItsGuardianAreRemoved) {
  usual_manifests();
  start();
  const pid_t plugin = std::stoi(answer("kv", "!pid"));
  const fs::path instance = directory_.runtime() / "instances" / "1";
  ASSERT_TRUE(fs::exists(instance));
  const pid_t served = daemon().pid();
  ::kill(daemon().guardian(), SIGSTOP);
  ::kill(served, SIGKILL);
  ::kill(daemon().guardian(), SIGKILL);
  EXPECT_EQ(daemon().process().wait(), Exit{.signal = SIGKILL});
  EXPECT_TRUE(eventually([&] { return !testing::alive(served) && !testing::alive(plugin); }));
  // They have become the test's own.
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  EXPECT_TRUE(fs::exists(directory_.plugin_socket("kv")));

  fs::remove(directory_.manifests() / "kv.toml");
  start();
  EXPECT_FALSE(fs::exists(instance));
  EXPECT_FALSE(fs::exists(directory_.plugin_socket("kv")));
  EXPECT_EQ(answer("echo", "hello"), "hello");
}

TEST_F(Start, PutsItsFilesIntoTheRuntimeDirectoryThatItIsGiven) {
  usual_manifests();
  const fs::path elsewhere = directory_.path() / "elsewhere";
  fs::create_directory(directory_.runtime());
  fs::permissions(directory_.runtime(), fs::perms::owner_all);
  start({"--runtime-dir", elsewhere});
  EXPECT_EQ(daemon_info().runtime_dir(), elsewhere);
  EXPECT_EQ(answer("kv", "hello"), "hello");
  std::string reply;
  EXPECT_TRUE(call(channel_to(elsewhere / "plugins" / "echo.sock"), "hello", &reply).ok());
  EXPECT_EQ(reply, "hello");
  // An instance of each, and the control service's socket.
  const auto entries = [](const fs::path& path) {
    return std::distance(fs::directory_iterator(path), fs::directory_iterator());
  };
  EXPECT_EQ(entries(elsewhere / "instances"), 3);
  EXPECT_EQ(entries(directory_.runtime()), 2) << "the front socket and its lock";
  stop();
  EXPECT_TRUE(fs::is_empty(elsewhere / "instances"));
  EXPECT_TRUE(fs::is_empty(elsewhere / "plugins"));
}

TEST_F(Start, TheLogLevelLeavesLinesOut) {
  usual_manifests();
  const std::map<std::string, std::string> events{{"debug", "event=control-started"},
                                                  {"info", "event=stopped"},
                                                  {"warning", "event=reload-refused"},
                                                  {"error", "event=start-failed"}};
  const std::vector<std::string> levels{"debug", "info", "warning", "error"};
  for (std::size_t level = 0; level < levels.size(); ++level) {
    testing::DaemonProcess process(directory_, {"--log-level", levels[level]}, {kPlugind});
    ASSERT_TRUE(eventually([&] { return testing::accepts(directory_.socket()); }));
    daemon_info();  // It is answered by the control service, which has started then.
    directory_.write("manifests/wrong.toml", "nonsense = 1\n");
    Context context;
    v1::ReloadManifestsResponse response;
    EXPECT_FALSE(control()->ReloadManifests(&context, {}, &response).ok());
    directory_.remove("manifests/wrong.toml");
    std::string log = refusal(plugind_here({"--log-level", levels[level]}));  // Of another one.
    process.process().signal(SIGTERM);
    EXPECT_EQ(process.process().wait(), Exit{.code = 0});
    log += process.log();
    for (std::size_t i = 0; i < levels.size(); ++i) {
      EXPECT_EQ(log.find(events.at(levels[i])) != log.npos, i >= level)
          << levels[i] << " with --log-level " << levels[level] << ":\n"
          << log;
    }
  }
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
