// Starts of real processes on the real platform and over real connections: those that fail, and
// that nothing is left of them; and those that succeed, each way of listening once.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "daemon/app/process_factory.h"
#include "daemon/app/steady_clock.h"
#include "daemon/dialect/go_plugin.h"
#include "daemon/dialect/native.h"
#include "daemon/forward/connector.h"
#include "tests/fault/start_plugins.h"

namespace plugind::testing {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// The kernel and this machine may be slow; a test that waits longer has failed.
constexpr auto kPatience = 20s;

bool exists(pid_t pid) { return kill(pid, 0) == 0 || errno != ESRCH; }

class RealStartTest : public ::testing::Test {
 protected:
  using Result = std::expected<plugin::Started, Error>;

  void SetUp() override {
    std::string path = "/tmp/plugind-start-XXXXXX";  // Short: sockets are made in it.
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    directory = path;
    auto opened = platform::ProcessTrees::open(loop.get_executor());
    ASSERT_TRUE(opened) << opened.error().message;
    trees = std::move(*opened);
    processes = app::make_process_factory(*trees);
    manifest.name = "p";
    manifest.file = directory / "p.toml";
    manifest.start_timeout = 10s;
    manifest.env["PIDS"] = path;
  }
  void TearDown() override {
    if (result && *result) {
      (*result)->connection.reset();
      (*result)->process.reset();
    }
    processes.reset();
    trees.reset();
    std::filesystem::remove_all(directory);
  }

  void play(const std::string& name, plugin::DialectKind kind = plugin::DialectKind::kGoPlugin) {
    manifest.dialect = kind;
    manifest.command = {std::filesystem::read_symlink("/proc/self/exe").string(), "--play=" + name};
  }
  plugin::Dialect& dialect() {
    return manifest.dialect == plugin::DialectKind::kNative ? *native : *go_plugin;
  }

  void begin() {
    plugin::StartContext context{manifest, "p#1", directory, *processes, connector, clock, log};
    asio::co_spawn(loop, dialect().start(context),
                   asio::bind_cancellation_slot(cancel.slot(),
                                                [this](std::exception_ptr thrown, Result value) {
                                                  over = true;
                                                  if (!thrown) result = std::move(value);
                                                }));
  }
  void run_until(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!condition() && std::chrono::steady_clock::now() < end) loop.run_one_for(20ms);
    ASSERT_TRUE(condition());
  }
  void start() {
    begin();
    run_until([this] { return over; });
  }
  Error error() {
    if (!result || *result) return make_error(Reason::kInternal, "there is no error");
    return result->error();
  }
  void expect_error(Reason reason, const std::string& part) {
    EXPECT_EQ(reason_name(error().reason), reason_name(reason));
    EXPECT_NE(error().message.find(part), std::string::npos) << error().message;
  }
  std::optional<pid_t> pid_in(const char* file) const {
    std::ifstream in(directory / file);
    pid_t pid = 0;
    return in >> pid ? std::optional(pid) : std::nullopt;
  }

  asio::io_context loop;
  std::filesystem::path directory;
  std::unique_ptr<platform::ProcessTrees> trees;
  std::unique_ptr<plugin::ProcessFactory> processes;
  forward::FlushQueue queue{loop.get_executor()};
  forward::UpstreamConnector connector{loop.get_executor(), queue, wire::Limits{}};
  app::SteadyClock clock{loop.get_executor()};
  plugin::OutputLog log;
  plugin::Manifest manifest;
  std::unique_ptr<plugin::Dialect> native = dialect::make_native_dialect();
  std::unique_ptr<plugin::Dialect> go_plugin = dialect::make_go_plugin_dialect();
  asio::cancellation_signal cancel;
  std::optional<Result> result;
  bool over = false;
};

TEST_F(RealStartTest, ATimeoutLeavesNoGrandchild) {
  play("silent-family");
  manifest.start_timeout = 2s;
  start();
  expect_error(Reason::kStartTimeout, "it printed nothing to stdout within 2");
  ASSERT_TRUE(pid_in("child") && pid_in("grandchild"));
  // They are dead; the loop may have yet to reap them.
  run_until([this] { return !exists(*pid_in("child")) && !exists(*pid_in("grandchild")); });
}

TEST_F(RealStartTest, ACancellationLeavesNoGrandchild) {
  play("silent-family");
  begin();
  run_until([this] { return pid_in("child") && pid_in("grandchild"); });
  cancel.emit(asio::cancellation_type::terminal);
  run_until([this] { return over; });
  // They are dead; the loop has yet to reap them.
  run_until([this] { return !exists(*pid_in("child")) && !exists(*pid_in("grandchild")); });
}

TEST_F(RealStartTest, EndlessGarbageIsCutShort) {
  play("endless-garbage");
  start();
  expect_error(Reason::kHandshakeInvalid, "\"\\x1b[31m\\xff\\xfe|no|handshake\"");
}

TEST_F(RealStartTest, AnExitIsTold) {
  play("exit-3");
  start();
  expect_error(Reason::kStartExited, "it ended with exit code 3 after");
  expect_error(Reason::kStartExited, "its last stderr:\nno configuration\nplease give one");
}

TEST_F(RealStartTest, ACrashIsTold) {
  play("crash", plugin::DialectKind::kNative);
  start();
  expect_error(Reason::kStartExited, "signal 11 (SIGSEGV)");
  expect_error(Reason::kStartExited, "about to fail");
}

TEST_F(RealStartTest, NetRpcIsRefused) {
  play("net-rpc");
  start();
  expect_error(Reason::kProtocolUnsupported, "net/rpc");
}

TEST_F(RealStartTest, AnExitAfterTheHandshakeIsAnExit) {
  play("handshake-then-exit");
  start();
  expect_error(Reason::kStartExited, "exit code 7");
}

TEST_F(RealStartTest, NothingOfTheDaemonsEnvironmentLeaks) {
  setenv("PLUGIND_TEST_SECRET", "s3cret", 1);
  play("show-environment");
  manifest.env["COLOUR"] = "blue";
  start();
  unsetenv("PLUGIND_TEST_SECRET");
  std::string text;
  for (const plugin::LogLine& line : log.tail(200)) text += line.text + "\n";
  EXPECT_NE(text.find("COLOUR=blue\n"), std::string::npos) << text;
  EXPECT_NE(text.find("PLUGIN_PROTOCOL_VERSIONS=1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("cwd " + directory.string() + "\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("s3cret"), std::string::npos) << text;
}

TEST_F(RealStartTest, AMissingProgramIsTold) {
  manifest.command = {(directory / "nothing").string()};
  start();
  expect_error(Reason::kExecutableMissing, (directory / "nothing").string());
}

TEST_F(RealStartTest, AnUnusableProgramIsTold) {
  std::ofstream(directory / "text") << "not a program\n";
  std::filesystem::permissions(directory / "text", std::filesystem::perms::owner_all);
  manifest.command = {(directory / "text").string()};
  start();
  EXPECT_EQ(reason_name(error().reason), reason_name(Reason::kExecutableUnusable));
}

// echo-cpp takes descriptor 3 if it is there, and the path otherwise.
TEST_F(RealStartTest, ANativePluginMayTakeTheDescriptor) {
  manifest.command = {getenv("ECHO_CPP")};
  start();
  ASSERT_TRUE(result && *result) << error().message;
  EXPECT_EQ((*result)->endpoint.address, "unix:" + (directory / "inherited.sock").string());
  EXPECT_TRUE((*result)->connection->alive());
}

TEST_F(RealStartTest, ANativePluginMayBindThePath) {
  manifest.command = {"env", "-u", "LISTEN_FDS", "-u", "LISTEN_PID", getenv("ECHO_CPP")};
  start();
  ASSERT_TRUE(result && *result) << error().message;
  EXPECT_EQ((*result)->endpoint.address, "unix:" + (directory / "instance.sock").string());
  EXPECT_TRUE((*result)->connection->alive());
}

}  // namespace
}  // namespace plugind::testing

int main(int argc, char** argv) {
  if (const int code = plugind::testing::play(argc, argv); code >= 0) return code;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
