// What stands in the way of a start, found without a start.
#include "daemon/dialect/examine.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "daemon/dialect/go_plugin.h"
#include "daemon/dialect/native.h"
#include "start_test.h"

namespace plugind::dialect {
namespace {

using plugin::Finding;
using plugin::Severity;
using Holder = plugin::HeldLimit::Holder;

plugin::Requirement file(const std::string& path, const std::string& hint) {
  plugin::Requirement requirement;
  requirement.file = path;
  requirement.hint = hint;
  return requirement;
}

plugin::Requirement java(const std::string& hint) {
  plugin::Requirement requirement;
  requirement.command = {"/usr/bin/java"};
  requirement.hint = hint;
  requirement.timeout = 3s;
  return requirement;
}

class ExamineTest : public StartTest {
 protected:
  ExamineTest() {
    dialect = make_native_dialect();
    std::string pattern = (std::filesystem::temp_directory_path() / "plugind-XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
    // Neither a script nor a program that has libraries.
    manifest.command = {write("program", "plain"), "--flag"};
  }
  ~ExamineTest() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& content) {
    const std::string path = directory_ / name;
    std::ofstream(path) << content;
    ::chmod(path.c_str(), 0755);
    return path;
  }

  void examine(const std::string& directory = "/run/plugind/instances/doctor1") {
    plugin::StartContext context{manifest,  "kv.doctor1", directory, processes,
                                 connector, clock,        log,       nullptr};
    over_ = false;
    boost::asio::co_spawn(loop, dialect->examine(context),
                          boost::asio::bind_cancellation_slot(
                              cancel.slot(), [this](std::exception_ptr thrown, auto findings) {
                                over_ = true;
                                cancelled_ = thrown != nullptr;
                                findings_ = std::move(findings);
                              }));
    run();
  }
  /// Of an examination that is over.
  const std::vector<Finding>& findings() const {
    EXPECT_TRUE(over_);
    return findings_;
  }
  void expect_one(Severity severity, const std::string& check, const std::string& what,
                  const std::string& remedy) {
    ASSERT_EQ(findings().size(), 1u);
    EXPECT_EQ(findings()[0].severity, severity);
    EXPECT_EQ(findings()[0].check, check);
    EXPECT_EQ(findings()[0].what, what);
    EXPECT_EQ(findings()[0].remedy, remedy);
  }

  std::filesystem::path directory_;
  std::vector<Finding> findings_;
  bool over_ = false;
  bool cancelled_ = false;
};

TEST_F(ExamineTest, APluginThatIsWellIsRehearsedAsItWouldStart) {
  manifest.limits.memory = 5;
  manifest.umask = 077;
  examine();
  EXPECT_TRUE(findings().empty());
  EXPECT_TRUE(processes.spawned.empty()) << "something was started";
  ASSERT_EQ(processes.rehearsed.size(), 1u);
  const plugin::ProcessSpec& spec = processes.rehearsed[0];
  EXPECT_EQ(spec.executable, manifest.command[0]);
  EXPECT_EQ(spec.arguments, std::vector<std::string>{"--flag"});
  EXPECT_EQ(spec.listen_socket, "/run/plugind/instances/doctor1/inherited.sock");
  EXPECT_EQ(spec.limits.memory, 5u);
  EXPECT_EQ(spec.umask, 077u);
  // The same environment as that of a start.
  start();
  EXPECT_EQ(process().spec.environment.size(), spec.environment.size());
}

TEST_F(ExamineTest, WhatTheRehearsalMeetsIsTold) {
  processes.rehearsal = std::unexpected(
      make_error(Reason::kExecutableUnusable, "the command is not executable", "chmod +x it"));
  examine();
  expect_one(Severity::kError, "program", "the command is not executable", "chmod +x it");
  processes.rehearsal = std::unexpected(make_error(Reason::kIsolationUnavailable, "no cpu limit"));
  examine();
  expect_one(Severity::kError, "limits", "no cpu limit", "");
  Error sandbox = make_error(Reason::kIsolationUnavailable, "no Landlock", "run another kernel");
  sandbox.details.emplace_back("setting", "sandbox.write_paths");
  processes.rehearsal = std::unexpected(sandbox);
  examine();
  expect_one(Severity::kError, "sandbox", "no Landlock", "run another kernel");
}

TEST_F(ExamineTest, AProgramThatIsNotInThePath) {
  manifest.command = {"no-such-program"};
  manifest.env["PATH"] = "/usr/bin";
  examine();
  expect_one(Severity::kError, "program",
             "its program \"no-such-program\" is not in PATH (/usr/bin)",
             "install it, or write its path in `command` of /etc/plugins.d/kv.toml");
  EXPECT_TRUE(processes.rehearsed.empty());
}

TEST_F(ExamineTest, LimitsThatAreNotFullyHeld) {
  processes.rehearsal = plugin::Rehearsal{{{"cpu", Holder::kNothing, "it has no control group"},
                                           {"memory", Holder::kProcessLimit, "of each process"},
                                           {"processes", Holder::kControlGroup, ""},
                                           {"open_files", Holder::kProcessLimit, "of each"}},
                                          ""};
  examine();
  ASSERT_EQ(findings().size(), 2u);
  EXPECT_EQ(findings()[0].severity, Severity::kWarning);
  EXPECT_EQ(findings()[0].what, "limits.cpu is not enforced here: it has no control group");
  EXPECT_NE(findings()[0].remedy.find("Delegate=yes"), std::string::npos);
  EXPECT_EQ(findings()[1].severity, Severity::kNote);
  EXPECT_EQ(findings()[1].what, "limits.memory is held by a process limit only: of each process");
}

TEST_F(ExamineTest, WhatWasNotTriedIsSaid) {
  processes.rehearsal = plugin::Rehearsal{{}, "nobody may trace"};
  examine();
  expect_one(Severity::kNote, "program",
             "whether the kernel would execute " + manifest.command[0] +
                 " was not tried: nobody may trace",
             "");
}

TEST_F(ExamineTest, EveryRequirementIsChecked) {
  manifest.requirements = {file("/nonexistent/licence", "Buy one."), java("Install Java."),
                           file("/nonexistent/key", "Make one.")};
  examine();
  ASSERT_EQ(processes.spawned.size(), 1u);
  EXPECT_EQ(process().spec.executable, "/usr/bin/java");
  EXPECT_EQ(process().spec.tree_name, "kv.doctor1.requires");
  EXPECT_FALSE(over_);
  clock.advance(3s);
  ASSERT_EQ(findings().size(), 3u);
  EXPECT_EQ(findings()[0].check, "requires");
  EXPECT_EQ(findings()[0].what, "it requires the file /nonexistent/licence, which does not exist");
  EXPECT_EQ(findings()[0].remedy, "Buy one.");
  EXPECT_EQ(findings()[1].what, "it requires `/usr/bin/java`, which has not ended after 3 s");
  EXPECT_EQ(findings()[2].remedy, "Make one.");
  EXPECT_TRUE(process().gone());
}

TEST_F(ExamineTest, AProgramOfAnotherChecksumIsNotEvenRehearsed) {
  manifest.sha256 = "abc";
  processes.next_pin_error = make_error(Reason::kChecksumMismatch, "it is another one");
  examine();
  expect_one(Severity::kError, "checksum", "it is another one", "");
  EXPECT_TRUE(processes.rehearsed.empty());
  examine();
  EXPECT_TRUE(findings().empty());
  EXPECT_TRUE(processes.rehearsed.at(0).pinned) << "another program than the one checked";
}

TEST_F(ExamineTest, AScriptWhoseProgramEnvDoesNotFind) {
  manifest.env["PATH"] = "/nowhere";
  for (const char* line : {"#!/usr/bin/env python9", "#!/usr/bin/env -S A=b python9 -u"}) {
    manifest.command = {write("script", std::string(line) + "\n")};
    examine();
    expect_one(Severity::kError, "program",
               "the script " + manifest.command[0] +
                   " asks /usr/bin/env for \"python9\", which is not in PATH (/nowhere)",
               "install it, or set PATH in `env` of the manifest");
  }
  // Only env knows.
  for (const char* line : {"#!/usr/bin/env -i python9", "#!/usr/bin/env -S '${X}'"}) {
    manifest.command = {write("script", std::string(line) + "\n")};
    examine();
    EXPECT_TRUE(findings().empty()) << line;
  }
}

TEST_F(ExamineTest, TheLoaderIsAskedForTheLibraries) {
  manifest.command = {std::filesystem::read_symlink("/proc/self/exe").string()};
  manifest.env = {{"LD_LIBRARY_PATH", "/opt/lib"}, {"LD_BIND_NOW", "1"}};
  manifest.limits.processes = 7;
  examine();
  ASSERT_EQ(processes.spawned.size(), 1u);
  EXPECT_EQ(process().spec.arguments, (std::vector<std::string>{"--list", manifest.command[0]}));
  EXPECT_EQ(process().variable("LD_LIBRARY_PATH"), "/opt/lib");
  EXPECT_EQ(process().variable("LD_BIND_NOW"), std::nullopt) << "it would do more than list";
  EXPECT_EQ(process().spec.limits, plugin::ResourceLimits{});
  process().print_stderr("program: libx.so.1: no such\x1b file\n");
  process().exit(127);
  run();
  expect_one(Severity::kError, "libraries",
             "the shared libraries of " + manifest.command[0] +
                 " are not all there: program: libx.so.1: no such\\x1b file",
             "install what is missing, or say where it is: LD_LIBRARY_PATH in `env` of the "
             "manifest");

  examine();
  process().print_stderr("ERROR: object 'y' from LD_PRELOAD cannot be preloaded: ignored.\n");
  process().exit(0);
  run();
  ASSERT_EQ(findings().size(), 1u);
  EXPECT_EQ(findings()[0].severity, Severity::kWarning);

  // A script's are those of its interpreter.
  const std::string program = manifest.command[0];
  manifest.command = {write("script", "#!" + program + "\n")};
  examine();
  EXPECT_EQ(process().spec.arguments, (std::vector<std::string>{"--list", program}));
  clock.advance(10s);
  ASSERT_EQ(findings().size(), 1u);
  EXPECT_EQ(findings()[0].severity, Severity::kNote);
  EXPECT_NE(findings()[0].what.find("has not ended after 10 s"), std::string::npos);
}

TEST_F(ExamineTest, NothingIsLeftOfOneThatIsCancelled) {
  manifest.requirements = {java("?")};
  examine();
  ASSERT_EQ(processes.living(), 1u);
  cancel_start();
  EXPECT_TRUE(over_ && cancelled_);
  EXPECT_EQ(processes.living(), 0u);
}

class ExamineGoPluginTest : public ExamineTest {
 protected:
  ExamineGoPluginTest() { dialect = make_go_plugin_dialect(); }
  void start_with(const std::string& output) {
    finished = false;
    result.reset();
    start();
    process().print_stdout(output + "1|1|unix|/run/kv.sock|grpc\n");
    run();
    ASSERT_TRUE(ready()) << (result ? result->error().message : "it is not over");
  }
};

TEST_F(ExamineGoPluginTest, NoiseOfTheLastStartIsRemembered) {
  examine();
  EXPECT_TRUE(findings().empty());
  start_with("starting up\n");
  examine();
  expect_one(Severity::kWarning, "handshake",
             "at its last start it printed 1 line to stdout that is no handshake: \"starting up\"",
             "print such lines to stderr: the first line of stdout is for the handshake, and hosts "
             "that start the plugin themselves take no other");
  start_with("");
  examine();
  EXPECT_TRUE(findings().empty());
}

TEST_F(ExamineGoPluginTest, ItsSocketsNeedRoom) {
  // "/plugin4294967295" more make 107 bytes, and 108.
  examine("/" + std::string(89, 'x'));
  EXPECT_TRUE(findings().empty());
  examine("/" + std::string(90, 'x'));
  ASSERT_EQ(findings().size(), 1u);
  EXPECT_EQ(findings()[0].check, "socket-path");
  EXPECT_NE(findings()[0].what.find("has 108 bytes"), std::string::npos);
}

}  // namespace
}  // namespace plugind::dialect
