// `pluginctl doctor` against a real control server, and where there is none.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <fstream>

#include "client-lib/pluginctl/findings_text.h"
#include "client-lib/pluginctl/unreachable.h"
#include "tests/unit/control/fake_daemon.h"
#include "tests/unit/pluginctl/program.h"

namespace plugind::pluginctl {
namespace {

using control::FakeDaemon;
using control::TemporaryDirectory;
using plugin::Severity;
using Acceptor = boost::asio::local::stream_protocol::acceptor;

Outcome ask(const FakeDaemon& daemon, std::vector<std::string> arguments) {
  return run(std::move(arguments), {{"PLUGIND_SOCKET", daemon.address()}});
}

void set(FakeDaemon& daemon, control::Diagnosis diagnosis) {
  daemon.on_loop([&] { daemon.diagnosis() = std::move(diagnosis); });
}

::testing::AssertionResult contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "\"" << part << "\" is not in:\n" << text;
}

TEST(Doctor, ErrorsAreExitCode6) {
  FakeDaemon daemon;
  set(daemon, {{{Severity::kNote, "memory", "", "there is little", "buy some"},
                {Severity::kError, "program", "kv", "it is\ngone\x1b[31m", "install it"},
                {Severity::kError, "limits", "kv", "no cpu", ""},
                {Severity::kWarning, "failures", "text", "it crashed", ""}},
               2});
  const Outcome outcome = ask(daemon, {"doctor"});
  EXPECT_EQ(outcome.exit_code, 6);
  EXPECT_EQ(outcome.err, "");
  EXPECT_EQ(outcome.out,
            "note     plugind: there is little\n"
            "         to do: buy some\n"
            "error    kv: it is | gone\\x1b[31m\n"
            "         to do: install it\n"
            "error    kv: no cpu\n"
            "warning  text: it crashed\n"
            "2 errors, 1 warning, 1 note\n");
  EXPECT_EQ(daemon.diagnosed(), "");
  const Outcome json = ask(daemon, {"doctor", "kv", "--json"});
  EXPECT_EQ(json.exit_code, 6);
  EXPECT_EQ(json.err, "");
  EXPECT_TRUE(
      contains(json.out, "{\"findings\":[{\"severity\":\"SEVERITY_NOTE\",\"check\":\"memory\""));
  EXPECT_EQ(daemon.diagnosed(), "kv");
}

TEST(Doctor, WithoutErrorsItIsExitCode0) {
  FakeDaemon daemon;
  set(daemon, {{}, 1});
  const Outcome healthy = ask(daemon, {"doctor"});
  EXPECT_EQ(healthy.exit_code, 0);
  EXPECT_EQ(healthy.out, "nothing is wrong with plugind and 1 plugin\n");
  EXPECT_EQ(ask(daemon, {"doctor", "kv"}).out, "nothing is wrong with kv\n");
  set(daemon, {{{Severity::kWarning, "failures", "kv", "it crashed", ""}}, 3});
  const Outcome warned = ask(daemon, {"doctor"});
  EXPECT_EQ(warned.exit_code, 0);
  EXPECT_EQ(warned.out,
            "warning  kv: it crashed\n"
            "nothing is wrong with plugind and 3 plugins: 1 warning\n");
}

TEST(Doctor, ARefusalIsTheUsualFailure) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.diagnosis() = std::unexpected(make_error(Reason::kPluginNotFound, "no plugin 'x'"));
  });
  const Outcome outcome = ask(daemon, {"doctor", "x"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.err, "pluginctl: NOT_FOUND (PLUGIN_NOT_FOUND): no plugin 'x'\n");
}

TEST(Doctor, SeveritiesAreColouredOnATerminal) {
  v1::DiagnoseResponse diagnosis;
  v1::Finding& finding = *diagnosis.add_findings();
  finding.set_severity(v1::SEVERITY_ERROR);
  finding.set_what("gone");
  EXPECT_EQ(findings_text(diagnosis, "", true), "\033[31merror\033[0m    plugind: gone\n1 error\n");
}

TEST(DoctorAlone, TellsWhyNoDaemonAnswers) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() / "plugind.sock";
  const Outcome none = run({"doctor"}, {{"PLUGIND_SOCKET", path}});
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_EQ(none.err, "");
  EXPECT_EQ(none.out, "error    plugind: no plugind answers at unix:" + path +
                          " (from PLUGIND_SOCKET): there is no such socket\n"
                          "         to do: start it with 'plugind' or 'systemctl --user start "
                          "plugind', or say where it listens with --socket or PLUGIND_SOCKET\n"
                          "1 error\n");
  const Outcome json = run({"doctor", "--socket", path, "--json"});
  EXPECT_EQ(json.exit_code, 3);
  EXPECT_TRUE(contains(json.out, "\"severity\":\"SEVERITY_ERROR\",\"check\":\"daemon\""));
  EXPECT_TRUE(contains(json.out, "(from --socket)"));
}

TEST(DoctorAlone, NamesTheSocketThatIsElsewhere) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory.path() / "plugind");
  const std::string path = directory.path() / "plugind" / "plugind.sock";
  boost::asio::io_context loop;
  const Acceptor other(loop, path);
  const Outcome outcome = run({"doctor"}, {{"PLUGIND_SOCKET", "/nonexistent/plugind.sock"},
                                           {"XDG_RUNTIME_DIR", directory.path()}});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_TRUE(contains(outcome.out, "nor a directory /nonexistent\n"));
  EXPECT_TRUE(contains(outcome.out, "note     plugind: there is another socket, " + path + "\n"));
  EXPECT_TRUE(contains(outcome.out, "--socket " + path + "\n"));
}

TEST(DoctorAlone, ASocketThatNobodyHears) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() / "dead.sock";
  {
    boost::asio::io_context loop;
    const Acceptor dead(loop, path);
  }
  const Obstacle dead = find_obstacle(path);
  EXPECT_TRUE(contains(dead.what, "nothing listens on it: a daemon that was killed left it"));
  EXPECT_TRUE(contains(dead.remedy, "start plugind"));
}

TEST(DoctorAlone, SomethingElseThanADaemon) {
  const TemporaryDirectory directory;
  const std::string file = directory.path() / "file";
  std::ofstream(file) << "text";
  EXPECT_EQ(find_obstacle(file).what, "that is not a socket");
  EXPECT_EQ(find_obstacle(file + "/plugind.sock").what, file + " is not a directory");
  EXPECT_TRUE(contains(find_obstacle("/" + std::string(120, 'x')).what,
                       "at most 107 bytes, this one has 121"));
  const std::string path = directory.path() / "other.sock";
  boost::asio::io_context loop;
  const Acceptor other(loop, path);
  EXPECT_TRUE(contains(find_obstacle(path).what, "does not greet as a gRPC server does"));
}

TEST(DoctorAlone, PermissionsAreTold) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() / "plugind.sock";
  boost::asio::io_context loop;
  const Acceptor daemon(loop, path);
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  // As another user, in another process: only root can be one.
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  const auto as_stranger = [&] {
    return testing::run({"setpriv", "--reuid=61022", "--regid=61022", "--clear-groups", PLUGINCTL,
                         "doctor", "--socket", path});
  };
  if (as_stranger().err.find("failed to execute") != std::string::npos) {
    GTEST_SKIP() << "another user may not execute " << PLUGINCTL;
  }
  EXPECT_TRUE(
      contains(as_stranger().out, "this user (uid 61022) may not pass through the directory " +
                                      directory.path().string() +
                                      ": it belongs to uid 0, group 0, mode 0700\n"));
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  EXPECT_TRUE(contains(as_stranger().out,
                       "this user (uid 61022) may not open the socket: it "
                       "belongs to uid 0, group 0, mode 0600\n"));
  EXPECT_TRUE(contains(as_stranger().out, "run pluginctl as uid 0 or as root"));
}

}  // namespace
}  // namespace plugind::pluginctl
