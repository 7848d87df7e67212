// What `pluginctl doctor` finds on a real daemon.
#include <elf.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

namespace fs = std::filesystem;

const std::string kGoPlugin = "dialect = 'go-plugin'\nenv = { E2E_COOKIE = 'right' }\n";
constexpr Exit kNothingWrong{.code = 0}, kNoDaemon{.code = 3}, kFound{.code = 6};

class Doctor : public DaemonTest {
 protected:
  testing::Run doctor(std::vector<std::string> arguments = {}) const {
    arguments.insert(arguments.begin(),
                     {PLUGINCTL, "--socket", directory_.socket().string(), "doctor"});
    return testing::run(std::move(arguments));
  }
  /// What is said of one plugin, with which something is wrong.
  std::string wrong_with(const std::string& name) const {
    const testing::Run run = doctor({name});
    EXPECT_EQ(run.exit, kFound) << run.out << run.err;
    EXPECT_EQ(run.err, "");
    EXPECT_EQ(get_plugin(name).starts(), 0U) << "it was started";
    return run.out;
  }
  std::string write_program(const std::string& name, const std::string& content,
                            mode_t mode = 0755) const {
    directory_.write(name, content);
    const std::string path = directory_.path() / name;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
};

TEST_F(Doctor, NothingIsWrongWithPluginsThatRunAndThatDoNot) {
  usual_manifests();
  const fs::path trace = directory_.path() / "trace";
  manifest("quiet", {"/bin/sh", "-c", "echo ran > " + trace.string()});
  start();
  EXPECT_EQ(answer("echo", "hello"), "hello");
  const testing::Run all = doctor();
  EXPECT_EQ(all.exit, kNothingWrong) << all.out;
  EXPECT_THAT(all.out, AllOf(HasSubstr("nothing is wrong with plugind and 3 plugins"),
                             Not(HasSubstr("error ")), Not(HasSubstr("was not tried"))));
  EXPECT_EQ(doctor({"kv"}).out, "nothing is wrong with kv\n");
  EXPECT_THAT(doctor({"--json"}).out, HasSubstr("\"plugins\":3"));
  // It was looked at and not started.
  EXPECT_FALSE(fs::exists(trace));
  EXPECT_EQ(get_plugin("quiet").starts(), 0U);
  EXPECT_EQ(get_plugin("echo").instances_size(), 1);
  if (cgroup_.empty()) return;
  for (const auto& group : fs::directory_iterator(cgroup_)) {
    EXPECT_THAT(group.path().string(), Not(HasSubstr("doctor"))) << "a control group is left";
  }
}

TEST_F(Doctor, ProgramsThatCannotBeExecuted) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_machine = EM_S390;
  const std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  manifest("foreign", {write_program("foreign", bytes)});
  manifest("missing", {"./missing"});
  manifest("unknown", {"no-such-program"});
  const std::string plain = write_program("plain", "#!/bin/sh\n", 0644);
  manifest("plain", {plain});
  manifest("script", {write_program("script", "#!/opt/no-such-python\n")});
  manifest("env", {write_program("env", "#!/usr/bin/env no-such-python\n")});
  start();
  EXPECT_THAT(
      wrong_with("foreign"),
      AllOf(HasSubstr("error    foreign: the program "), HasSubstr("is built for s390x"),
            HasSubstr("\n         to do: install the build for "), HasSubstr("\n1 error\n")));
  EXPECT_THAT(wrong_with("missing"),
              AllOf(HasSubstr((directory_.manifests() / "missing").string() + " does not exist"),
                    HasSubstr("to do: build or install the plugin")));
  EXPECT_THAT(wrong_with("unknown"),
              AllOf(HasSubstr("\"no-such-program\" is not in PATH"), HasSubstr("unknown.toml\n")));
  EXPECT_THAT(wrong_with("plain"),
              AllOf(HasSubstr("is not executable"), HasSubstr("to do: chmod +x " + plain + "\n")));
  EXPECT_THAT(wrong_with("script"),
              HasSubstr("names the interpreter /opt/no-such-python, which does not exist\n"));
  EXPECT_THAT(wrong_with("env"), HasSubstr("asks /usr/bin/env for \"no-such-python\", which is not "
                                           "in PATH"));
  // All at once.
  const testing::Run all = doctor();
  EXPECT_EQ(all.exit, kFound);
  EXPECT_THAT(all.out, HasSubstr("\n6 errors"));
}

TEST_F(Doctor, AMissingSharedLibrary) {
  std::ifstream file(kMisbehave, std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(file), {});
  const std::string library = "libc.so.6";
  for (std::size_t at = 0; (at = content.find(library, at)) != content.npos; ++at) {
    content.replace(at, library.size(), "libX.so.6");
  }
  manifest("bad", {write_program("bad", content)});
  start();
  EXPECT_THAT(wrong_with("bad"),
              AllOf(HasSubstr("error    bad: the shared libraries of "),
                    HasSubstr("are not all there: "), HasSubstr("libX.so.6"),
                    HasSubstr("to do: install what is missing, or say where it is: "
                              "LD_LIBRARY_PATH in `env`")));
}

TEST_F(Doctor, AMountWithoutExec) {
  const fs::path mount = directory_.path() / "mount";
  fs::create_directory(mount);
  // Of the daemon alone, so that nothing of it is left.
  const std::string script = "mount -t tmpfs -o noexec tmpfs '" + mount.string() + "' && cp '" +
                             kMisbehave + "' '" + mount.string() + "' && exec \"$@\"";
  if (testing::run({"unshare", "-m", "sh", "-c", script, "sh", "true"}).exit != kNothingWrong) {
    GTEST_SKIP() << "file systems cannot be mounted here";
  }
  manifest("bad", {(mount / "misbehave").string(), "silent"});
  start({}, {"unshare", "-m", "sh", "-c", script, "sh", kPlugind});
  EXPECT_THAT(wrong_with("bad"),
              AllOf(HasSubstr("misbehave is on a file system that is mounted noexec\n"),
                    HasSubstr("to do: move the plugin, or mount it without noexec")));
}

TEST_F(Doctor, WhatAPluginRequires) {
  manifest("bad", {kTestPlugin},
           "requires = [\n"
           "  { command = ['sh', '-c', 'echo 11.0.2'], version = '17', hint = 'Install 17.' },\n"
           "  { file = '/nonexistent/licence', hint = 'Buy one.' },\n"
           "  { command = ['sh', '-c', 'exit 0'], hint = 'No.' }]\n");
  start();
  EXPECT_THAT(wrong_with("bad"),
              AllOf(HasSubstr("to tell version 17 or later, and it tells 11.0.2\n         to do: "
                              "Install 17.\n"),
                    HasSubstr("the file /nonexistent/licence, which does not exist\n         to "
                              "do: Buy one.\n"),
                    HasSubstr("\n2 errors\n")));
}

TEST_F(Doctor, AnotherChecksum) {
  manifest("bad", {kMisbehave}, "sha256 = '" + std::string(64, '0') + "'\n");
  start();
  EXPECT_THAT(wrong_with("bad"), HasSubstr(std::string(64, '0')));
}

TEST_F(Doctor, ALimitThatNothingHolds) {
  manifest("lax", {kTestPlugin}, "limits.cpu = '50%'\n");
  manifest("strict", {kTestPlugin}, "limits = { cpu = '50%', required = true }\n");
  start();
  EXPECT_EQ(answer("lax", "hello"), "hello");
  if (get_plugin("lax").instances(0).limits(0).holder() == v1::LIMIT_HOLDER_CONTROL_GROUP) {
    EXPECT_EQ(doctor().exit, kNothingWrong);
    GTEST_SKIP() << "a control group holds it";
  }
  const testing::Run lax = doctor({"lax"});
  EXPECT_EQ(lax.exit, kNothingWrong) << lax.out;
  EXPECT_THAT(lax.out, AllOf(HasSubstr("warning  lax: limits.cpu is not enforced here: "),
                             HasSubstr("Delegate=yes"),
                             HasSubstr("nothing is wrong with lax: 1 warning\n")));
  EXPECT_THAT(wrong_with("strict"), HasSubstr("error    strict: limits.cpu cannot be enforced "));
}

TEST_F(Doctor, NoiseBeforeTheHandshake) {
  manifest("noisy", {kMisbehave, "noise", kTestPlugin}, kGoPlugin);
  start();
  EXPECT_EQ(doctor({"noisy"}).out, "nothing is wrong with noisy\n");
  EXPECT_EQ(answer("noisy", "hello"), "hello");
  const testing::Run run = doctor({"noisy"});
  EXPECT_EQ(run.exit, kNothingWrong);
  EXPECT_THAT(run.out, AllOf(HasSubstr("warning  noisy: at its last start it printed 2 lines to "
                                       "stdout that are no handshake: \"starting up…\""),
                             HasSubstr("to do: print such lines to stderr"),
                             HasSubstr("nothing is wrong with noisy: 1 warning\n")));
}

TEST_F(Doctor, WhatIsRememberedOfAPlugin) {
  manifest("bad", {kMisbehave, "exit", "3"}, "restart = { limit = 1, window = '60s' }\n");
  manifest("held", {kTestPlugin});
  manifest("manual", {kTestPlugin}, "start.mode = 'manual'\n");
  start();
  EXPECT_EQ(failure("bad").reason, "CRASH_LOOP");
  Context context;
  v1::StopPluginRequest request;
  request.set_name("held");
  v1::StopPluginResponse response;
  EXPECT_TRUE(control()->StopPlugin(&context, request, &response).ok());
  const testing::Run run = doctor();
  EXPECT_EQ(run.exit, kFound);
  EXPECT_THAT(
      run.out,
      AllOf(HasSubstr("error    bad: it failed too often in a short time and is not started "
                      "again by itself; last: "),
            HasSubstr("exit code 3"), HasSubstr("run `pluginctl restart bad`\n"),
            HasSubstr("note     held: it was stopped by an operator"),
            HasSubstr("note     manual: start.mode is \"manual\""), HasSubstr("\n1 error")));
}

TEST_F(Doctor, TheDaemonItself) {
  usual_manifests();
  start();
  directory_.write("manifests/later.toml", "nonsense = 1\n");
  fs::remove(directory_.plugin_socket("kv"));
  ASSERT_EQ(::chmod(directory_.runtime().c_str(), 0722), 0);
  const testing::Run run = doctor();
  ASSERT_EQ(::chmod(directory_.runtime().c_str(), 0700), 0);
  EXPECT_EQ(run.exit, kFound);
  EXPECT_THAT(run.out, AllOf(HasSubstr("error    plugind: the runtime directory " +
                                       directory_.runtime().string() +
                                       " may be written to by others (mode 0722)\n"),
                             HasSubstr("error    plugind: the manifests on disk have mistakes"),
                             HasSubstr("later.toml:1:1"), HasSubstr("error    kv: its own socket "),
                             HasSubstr("\n3 errors")));
  directory_.write("manifests/later.toml", "name = 'later'\ncommand = ['true']\n");
  EXPECT_THAT(doctor().out, HasSubstr("a reload touches later\n"));
}

TEST_F(Doctor, NoDaemon) {
  EXPECT_EQ(doctor().exit, kNoDaemon);
  usual_manifests();
  start();
  stop();
  const testing::Run run = doctor();
  EXPECT_EQ(run.exit, kNoDaemon);
  EXPECT_THAT(run.out, AllOf(HasSubstr("error    plugind: no plugind answers at unix:" +
                                       directory_.socket().string()),
                             HasSubstr("there is no such socket"), HasSubstr("start it with")));
}

TEST_F(Doctor, AnUnknownPlugin) {
  usual_manifests();
  start();
  const testing::Run run = doctor({"nobody"});
  EXPECT_EQ(run.exit, Exit{.code = 1});
  EXPECT_THAT(run.err, HasSubstr("PLUGIN_NOT_FOUND"));
}

TEST_F(Doctor, StopsWithTheDaemon) {
  manifest("slow", {kTestPlugin},
           "requires = [{ command = ['sh', '-c', 'echo $$ > \"$HOME/pid\"; sleep 600'], "
           "timeout = '5m', hint = '-' }]\nenv.HOME = '" +
               directory_.path().string() + "'\n");
  start();
  testing::ChildProcess doctor({PLUGINCTL, "--socket", directory_.socket(), "doctor"});
  EXPECT_TRUE(eventually([&] { return fs::exists(directory_.path() / "pid"); }));
  daemon().process().signal(SIGTERM);
  EXPECT_EQ(doctor.wait(), Exit{.code = 1});
  EXPECT_THAT(doctor.err(), HasSubstr("DAEMON_DRAINING"));
  EXPECT_EQ(daemon().process().wait(), Exit{.code = 0});
  expect_nothing_left();
}

}  // namespace
}  // namespace plugind::e2e
