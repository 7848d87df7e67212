// Plugins that cannot start: the first caller is told why, and what to do.
#include <elf.h>
#include <gmock/gmock.h>

#include <cstring>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kGoPlugin =
    "dialect = 'go-plugin'\nenv = { E2E_COOKIE = 'right' }\nstart.timeout = '20s'\n";
// For what says nothing: long enough for a busy machine to start the program.
const std::string kShort = "dialect = 'go-plugin'\nstart.timeout = '2s'\n";
const char* const kStderr =
    "; its last stderr:\ncomplaint 3\ncomplaint 4\ncomplaint 5\ncomplaint 6\ncomplaint 7";

class Refusals : public DaemonTest {
 protected:
  /// Calls the plugin `bad`, whose start fails, while another plugin is called all the time.
  Told refused(const std::vector<std::string>& command, const std::string& more) {
    usual_manifests();
    manifest("bad", command, more);
    start();
    Bystander bystander(front());
    Told result = failure("bad");
    EXPECT_EQ(bystander.complaint(), "");
    EXPECT_EQ(result.code, grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(result.domain, "plugind");
    EXPECT_EQ(result.metadata["plugin"], "bad");
    EXPECT_THAT(result.message, HasSubstr("plugin 'bad' cannot start: "));
    EXPECT_EQ(get_plugin("bad").last_failure(), result.message);
    EXPECT_EQ(get_plugin("bad").instances_size(), 0);
    return result;
  }
};

TEST_F(Refusals, ANetrpcPlugin) {
  for (const char* line : {"1|1|tcp|127.0.0.1:1234", "1|1|unix|/tmp/x|netrpc"}) {
    const Told refusal = refused({kMisbehave, "print", line}, kGoPlugin);
    EXPECT_EQ(refusal.reason, "PROTOCOL_UNSUPPORTED");
    EXPECT_THAT(refusal.message,
                AllOf(HasSubstr("net/rpc"), HasSubstr("GRPCServer"), HasSubstr(kStderr)));
    stop();
  }
}

TEST_F(Refusals, AWrongCookie) {
  const Told refusal = refused({kTestPlugin},
                               "dialect = 'go-plugin'\n"
                               "go-plugin.cookie_key = 'E2E_COOKIE'\n"
                               "go-plugin.cookie_value = 'wrong'\n");
  EXPECT_EQ(refusal.reason, "START_EXITED");
  EXPECT_EQ(refusal.metadata.at("exit_code"), "1");
  EXPECT_THAT(refusal.message,
              AllOf(HasSubstr("the cookie in the manifest is wrong"), HasSubstr("sets E2E_COOKIE"),
                    HasSubstr("MagicCookieValue"), HasSubstr("This binary is a plugin.")));
}

TEST_F(Refusals, AnotherVersionOfThePluginsProtocol) {
  const Told refusal = refused({kMisbehave, "print", "1|7|unix|/tmp/x|grpc"},
                               kGoPlugin + "go-plugin.protocol_versions = [4, 5]\n");
  EXPECT_EQ(refusal.reason, "PROTOCOL_UNSUPPORTED");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("it speaks version 7 of its protocol"),
                                     HasSubstr("go-plugin.protocol_versions of the manifest has "
                                               "4, 5; add it if the hosts speak it"),
                                     HasSubstr(kStderr)));
}

TEST_F(Refusals, AnotherVersionOfTheHandshake) {
  const Told refusal = refused({kMisbehave, "print", "2|1|unix|/tmp/x|grpc"}, kGoPlugin);
  EXPECT_EQ(refusal.reason, "PROTOCOL_UNSUPPORTED");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("it speaks version 2 of go-plugin's core protocol"),
                                     HasSubstr("build the plugin with a go-plugin of version 1"),
                                     HasSubstr(kStderr)));
}

TEST_F(Refusals, GarbageInsteadOfTheHandshake) {
  const Told refusal =
      refused({kMisbehave, "print", "Usage: bad [OPTIONS]\n\x1b[1mtry --help\x01"}, kShort);
  EXPECT_EQ(refusal.reason, "HANDSHAKE_INVALID");
  EXPECT_THAT(refusal.message,
              AllOf(HasSubstr("no go-plugin handshake within 2"), HasSubstr("2 lines"),
                    HasSubstr("\"Usage: bad [OPTIONS]\""), HasSubstr("correct `dialect`"),
                    HasSubstr("raise start.timeout"), HasSubstr(kStderr)));
  EXPECT_THAT(refusal.message, Not(HasSubstr("\x1b")));
}

TEST_F(Refusals, GarbageWithoutEnd) {
  const Told refusal = refused({kMisbehave, "flood"}, kGoPlugin);
  EXPECT_EQ(refusal.reason, "HANDSHAKE_INVALID");
  EXPECT_THAT(refusal.message,
              AllOf(HasSubstr("xxxx"), HasSubstr("correct `dialect`"), HasSubstr(kStderr)));
  EXPECT_LT(refusal.message.size(), 2'000U);
}

TEST_F(Refusals, AHandshakeThatIsNoHandshake) {
  const Told refusal = refused({kMisbehave, "print", "1|1|carrier-pigeon|x|grpc"}, kGoPlugin);
  EXPECT_EQ(refusal.reason, "HANDSHAKE_INVALID");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("carrier-pigeon"), HasSubstr(kStderr)));
}

TEST_F(Refusals, AHandshakeOfAnotherProtocol) {
  const Told refusal = refused({kMisbehave, "print", "1|1|unix|/tmp/x|thrift"}, kGoPlugin);
  EXPECT_EQ(refusal.reason, "PROTOCOL_UNSUPPORTED");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("it speaks \"thrift\", not gRPC"),
                                     HasSubstr("set GRPCServer"), HasSubstr(kStderr)));
}

TEST_F(Refusals, AnAddressWhereNobodyListens) {
  const Told refusal = refused({kMisbehave, "print", "1|1|unix|nobody.sock|grpc"}, kShort);
  EXPECT_EQ(refusal.reason, "START_TIMEOUT");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("nobody.sock"), HasSubstr(kStderr)));
}

TEST_F(Refusals, AnExitBeforeTheHandshake) {
  const Told refusal = refused({kMisbehave, "exit", "3"}, kGoPlugin);
  EXPECT_EQ(refusal.reason, "START_EXITED");
  EXPECT_EQ(refusal.metadata.at("exit_code"), "3");
  EXPECT_THAT(refusal.message,
              AllOf(HasSubstr("exit code 3"), HasSubstr("run its `command` by hand"),
                    HasSubstr("`env_allow`"), HasSubstr(kStderr)));
}

TEST_F(Refusals, ASignalBeforeANativePluginListens) {
  const Told refusal = refused({kMisbehave, "signal", "11"}, "");
  EXPECT_EQ(refusal.reason, "START_EXITED");
  EXPECT_EQ(refusal.metadata.at("signal"), "11");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("SIGSEGV"), HasSubstr("run its `command` by hand"),
                                     HasSubstr(kStderr)));
}

TEST_F(Refusals, SilenceUntilTheTimeout) {
  const Told refusal = refused({kMisbehave, "silent"}, kShort);
  EXPECT_EQ(refusal.reason, "START_TIMEOUT");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("printed nothing to stdout within 2"),
                                     HasSubstr("start.timeout"), HasSubstr(kStderr)));
}

TEST_F(Refusals, ANativePluginThatDoesNotListen) {
  const Told refusal = refused({kMisbehave, "silent"}, "start.timeout = '1s'\n");
  EXPECT_EQ(refusal.reason, "START_TIMEOUT");
  EXPECT_THAT(refusal.message,
              AllOf(HasSubstr("PLUGIND_LISTEN"), HasSubstr("start.timeout"), HasSubstr(kStderr)));
}

TEST_F(Refusals, AFileForAnotherArchitecture) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_S390;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  directory_.write("program", std::string(reinterpret_cast<const char*>(&header), sizeof header));
  std::filesystem::permissions(directory_.path() / "program", std::filesystem::perms::owner_all);
  const Told refusal = refused({"../program"}, "");
  EXPECT_EQ(refusal.reason, "EXECUTABLE_UNUSABLE");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("/program"), HasSubstr("built for s390x"),
                                     HasSubstr("install the build for")));
}

TEST_F(Refusals, AFileThatIsNotExecutable) {
  directory_.write("program", "#!/bin/sh\n");
  const Told refusal = refused({"../program"}, "");
  EXPECT_EQ(refusal.reason, "EXECUTABLE_UNUSABLE");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("/program"), HasSubstr("chmod")));
}

TEST_F(Refusals, AMissingFile) {
  const Told refusal = refused({"./missing"}, "");
  EXPECT_EQ(refusal.reason, "EXECUTABLE_MISSING");
  EXPECT_THAT(refusal.message, HasSubstr((directory_.manifests() / "missing").string()));
}

TEST_F(Refusals, AProgramThatIsNotInThePath) {
  const Told refusal = refused({"no-such-program"}, "");
  EXPECT_EQ(refusal.reason, "EXECUTABLE_MISSING");
  EXPECT_THAT(refusal.message,
              AllOf(HasSubstr("\"no-such-program\" is not in PATH"), HasSubstr("bad.toml")));
}

TEST_F(Refusals, NotOfNoiseBeforeARightHandshake) {
  manifest("noisy", {kMisbehave, "noise", kTestPlugin}, kGoPlugin);
  start();
  EXPECT_EQ(answer("noisy", "hello"), "hello");
}

TEST_F(Refusals, TellEveryCallerThatWaits) {
  manifest("bad", {kMisbehave, "exit", "3"}, kGoPlugin);
  start();
  std::vector<Told> all(10);
  {
    std::vector<std::jthread> callers;
    for (Told& one : all) callers.emplace_back([&] { one = failure("bad"); });
  }
  for (const Told& one : all) EXPECT_THAT(one.message, HasSubstr("exit code 3"));
}

}  // namespace
}  // namespace plugind::e2e
