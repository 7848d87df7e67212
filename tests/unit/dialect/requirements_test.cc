// What is looked at before a plugin starts: what it requires, and its checksum.
#include "daemon/dialect/requirements.h"

#include <cstdlib>

#include "daemon/dialect/native.h"
#include "start_test.h"

namespace plugind::dialect {
namespace {

TEST(VersionTest, IsTheFirstNumberWithDots) {
  EXPECT_EQ(first_version("openjdk version \"17.0.9\" 2023-10-17\n"), "17.0.9");
  EXPECT_EQ(first_version("java version \"1.8.0_292\""), "1.8.0");
  EXPECT_EQ(first_version("openjdk 17 2021-09-14"), "17");
  EXPECT_EQ(first_version("go version go1.21.5 linux/amd64"), "1.21.5");
  EXPECT_EQ(first_version("lib264 from 2020, version 0.164."), "0.164");
  EXPECT_EQ(first_version("none. at all."), "");
  EXPECT_EQ(first_version(std::string(100'000, '9')), "");
}

TEST(VersionTest, IsComparedNumberByNumber) {
  EXPECT_TRUE(version_less("1.8.0", "17"));
  EXPECT_TRUE(version_less("1.9", "1.10"));
  EXPECT_TRUE(version_less("17", "17.0.1"));
  EXPECT_FALSE(version_less("17.0.0", "17"));
  EXPECT_FALSE(version_less("17", "17.0"));
  EXPECT_FALSE(version_less("2", "1.99"));
  EXPECT_FALSE(version_less("03", "3"));
  EXPECT_TRUE(version_less("99999999999999999998", "99999999999999999999"));
}

class RequirementsTest : public StartTest {
 protected:
  RequirementsTest() {
    dialect = make_native_dialect();
    plugin::Requirement java;
    java.command = {"/usr/bin/java", "-version"};
    java.version = "17";
    java.hint = "Install a Java 17 runtime.";
    java.timeout = 3s;
    manifest.requirements = {java};
  }
  void expect_missing(const std::string& what) {
    ASSERT_TRUE(result);
    expect_error(Reason::kRequirementMissing,
                 "it requires " + what + ". Install a Java 17 runtime.");
    EXPECT_EQ(processes.spawned.size(), 1u) << "the plugin was started";
  }
};

TEST_F(RequirementsTest, ThePluginStartsWhenTheyAreMet) {
  manifest.env["JAVA_HOME"] = "/opt/java";
  manifest.limits.processes = 5;
  start();
  ASSERT_EQ(processes.spawned.size(), 1u);
  EXPECT_EQ(process().spec.executable, "/usr/bin/java");
  EXPECT_EQ(process().spec.arguments, std::vector<std::string>{"-version"});
  EXPECT_EQ(process().variable("JAVA_HOME"), "/opt/java");
  EXPECT_EQ(process().spec.limits, plugin::ResourceLimits{});
  EXPECT_EQ(process().spec.tree_name, "kv#1.requires");
  process().print_stderr("openjdk version \"17.0.9\"\n");
  process().exit(0);
  run();
  ASSERT_EQ(processes.spawned.size(), 2u);
  EXPECT_EQ(process().spec.executable, "/opt/kv");
  EXPECT_EQ(process().spec.limits.processes, 5u);
  EXPECT_EQ(log_text(), "") << "it is not the plugin that printed";
}

TEST_F(RequirementsTest, AnotherUsersCommandDoesNotGetTheInstancesDirectory) {
  manifest.run_as.emplace();
  start();
  EXPECT_TRUE(process().spec.run_as);
  EXPECT_EQ(process().spec.private_directory, "");
  EXPECT_EQ(process().spec.working_directory, "/");
}

TEST_F(RequirementsTest, TheCommandIsInTheSandboxOfThePlugin) {
  manifest.sandbox = {.write_paths = std::vector<std::string>{"/var/kv"}, .network = false};
  start();
  ASSERT_EQ(processes.spawned.size(), 1u);
  EXPECT_EQ(process().spec.sandbox.write_paths,
            (std::vector<std::string>{"/var/kv", "/run/plugind/instances/kv#1"}));
  EXPECT_FALSE(process().spec.sandbox.network);
  cancel_start();
}

TEST_F(RequirementsTest, ALowerVersionIsRefused) {
  start();
  process().print_stdout("java 11.0.2\n");
  process().exit(0);
  run();
  expect_missing("`/usr/bin/java -version` to tell version 17 or later, and it tells 11.0.2");
}

TEST_F(RequirementsTest, NoVersionIsRefused) {
  start();
  process().exit(0);
  run();
  expect_missing("`/usr/bin/java -version` to tell version 17 or later, and it tells none");
}

TEST_F(RequirementsTest, AFailureIsRefused) {
  start();
  process().print_stderr("no JVM\x1b here\nat all\n");
  process().exit(2);
  run();
  expect_missing("`/usr/bin/java -version`, which ended with exit code 2 (\"no JVM\\x1b here\")");
}

TEST_F(RequirementsTest, ACommandThatHangsIsEnded) {
  start();
  clock.advance(3s);
  run();
  expect_missing("`/usr/bin/java -version`, which has not ended after 3 s");
  EXPECT_TRUE(process().gone());
}

TEST_F(RequirementsTest, OutputWithoutEndIsBounded) {
  start();
  for (int i = 0; i < 100; ++i) process().print_stdout(std::string(1'000, 'x'));
  process().print_stdout("17.0.1");
  process().exit(0);
  run();
  expect_missing("`/usr/bin/java -version` to tell version 17 or later, and it tells none");
}

TEST_F(RequirementsTest, ACommandThatCannotStartIsRefused) {
  processes.next_error = make_error(Reason::kExecutableMissing, "it does not exist");
  start();
  ASSERT_TRUE(result);
  expect_error(Reason::kRequirementMissing,
               "it requires `/usr/bin/java -version`: it does not exist. Install a Java 17 "
               "runtime.");
}

TEST_F(RequirementsTest, AnUnknownCommandIsRefused) {
  manifest.requirements[0].command = {"no-such-program"};
  manifest.env["PATH"] = "/usr/bin";
  start();
  ASSERT_TRUE(result);
  expect_error(Reason::kRequirementMissing,
               "it requires `no-such-program`, which is not in PATH. Install a Java 17 runtime.");
}

TEST_F(RequirementsTest, AFileHasToBeThere) {
  plugin::Requirement file;
  file.file = "/proc/self/exe";
  file.hint = "?";
  manifest.requirements = {file};
  start();
  EXPECT_EQ(process().spec.executable, "/opt/kv");
  cancel_start();
  finished = false;
  result.reset();
  manifest.requirements[0].file = "/nonexistent/licence";
  manifest.requirements[0].hint = "Buy one.";
  start();
  ASSERT_TRUE(result);
  expect_error(Reason::kRequirementMissing,
               "it requires the file /nonexistent/licence, which does not exist. Buy one.");
  EXPECT_EQ(
      error().details,
      (std::vector<std::pair<std::string, std::string>>{{"requirement", "/nonexistent/licence"}}));
}

TEST_F(RequirementsTest, WhatWasMetIsNotAskedAgain) {
  requirements_met = std::make_shared<bool>(false);
  start();
  process().print_stdout("17");
  process().exit(0);
  run();
  EXPECT_TRUE(*requirements_met);
  cancel_start();
  finished = false;
  start();
  EXPECT_EQ(process().spec.executable, "/opt/kv");
  EXPECT_EQ(processes.spawned.size(), 3u);
}

TEST_F(RequirementsTest, CancellingEndsTheCommand) {
  start();
  cancel_start();
  EXPECT_TRUE(process().gone());
  EXPECT_FALSE(result);
}

class PinTest : public StartTest {
 protected:
  PinTest() {
    dialect = make_native_dialect();
    manifest.sha256 = "abc";
  }
};

TEST_F(PinTest, TheCheckedProgramIsStarted) {
  start();
  EXPECT_EQ(processes.pinned, std::vector<std::string>{"/opt/kv abc"});
  EXPECT_TRUE(process().spec.pinned);
}

TEST_F(PinTest, AnotherProgramIsNot) {
  processes.next_pin_error = make_error(Reason::kChecksumMismatch, "it is another one");
  start();
  ASSERT_TRUE(result);
  expect_error(Reason::kChecksumMismatch, "it is another one");
  EXPECT_TRUE(processes.spawned.empty());
}

class UserTest : public StartTest {
 protected:
  UserTest() {
    dialect = make_native_dialect();
    ::setenv("PLUGIND_TEST_INHERITED", "yes", 1);
  }
  ~UserTest() override { ::unsetenv("PLUGIND_TEST_INHERITED"); }
};

TEST_F(UserTest, TheManifestsWishesReachTheProcess) {
  manifest.run_as.emplace();
  manifest.run_as->user = {7, "seven"};
  manifest.run_as->login = "seven";
  manifest.run_as->home = "/home/seven";
  manifest.umask = 077;
  manifest.no_new_privileges = true;
  manifest.limits.memory = 1;
  manifest.env_allow = {"PLUGIND_TEST_INHERITED", "PLUGIND_TEST_UNSET"};
  ::setenv("SHELL", "/bin/of-the-daemon", 1);
  start();
  const plugin::ProcessSpec& spec = process().spec;
  EXPECT_EQ(spec.run_as, manifest.run_as);
  EXPECT_EQ(spec.private_directory, "/run/plugind/instances/kv#1");
  EXPECT_EQ(spec.umask, 077u);
  EXPECT_TRUE(spec.no_new_privileges);
  EXPECT_EQ(spec.limits.memory, 1u);
  EXPECT_EQ(process().variable("PLUGIND_TEST_INHERITED"), "yes");
  EXPECT_EQ(process().variable("PLUGIND_TEST_UNSET"), std::nullopt);
  EXPECT_EQ(process().variable("HOME"), "/home/seven");
  EXPECT_EQ(process().variable("USER"), "seven");
  EXPECT_EQ(process().variable("LOGNAME"), "seven");
  EXPECT_EQ(process().variable("SHELL"), std::nullopt) << "the daemon's own";
}

TEST_F(UserTest, TheSandboxReachesTheProcessWithTheInstancesDirectory) {
  manifest.sandbox = {.write_paths = std::vector<std::string>{"/var/kv"}, .network = false};
  connector.on_connect = [](auto&) { return Verdict::kRefuse; };
  start();
  EXPECT_EQ(process().spec.sandbox.write_paths,
            (std::vector<std::string>{"/var/kv", "/run/plugind/instances/kv#1"}));
  EXPECT_FALSE(process().spec.sandbox.network);
  process().exit(1);
  run();
  ASSERT_TRUE(finished);
  EXPECT_NE(error().message.find("before it was ready; by its manifest it has no network "
                                 "(`sandbox.network`) and can write to a few paths only "
                                 "(`sandbox.write_paths`)"),
            std::string::npos)
      << error().message;
}

TEST_F(UserTest, WhatIsNotAllowedIsNotInherited) {
  start();
  EXPECT_EQ(process().variable("PLUGIND_TEST_INHERITED"), std::nullopt);
  EXPECT_FALSE(process().spec.run_as);
}

}  // namespace
}  // namespace plugind::dialect
