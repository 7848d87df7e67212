// Limits, the plugin's user, its pinned program and what it requires.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "daemon/plugin/manifest.h"

namespace plugind::plugin {
namespace {

using namespace std::chrono_literals;

const std::string kMinimal = "name = \"kv\"\ncommand = [\"./kv\"]\n";

std::expected<RunAs, std::string> find_user(const Account& user,
                                            const std::optional<Account>& group) {
  if (user.id == 66) return std::unexpected("uid 66 is nobody's");
  RunAs result;
  result.user = user;
  result.group = group.value_or(Account{500, ""});
  result.groups = {500, 501};
  result.home = "/home/" + user.name;
  return result;
}

const AccountLookup kAccounts{
    .user = [](const std::string& name) -> std::expected<std::uint32_t, std::string> {
      if (name == "ada") return 1'001;
      return std::unexpected("is no user of this system");
    },
    .group = [](const std::string& name) -> std::expected<std::uint32_t, std::string> {
      if (name == "staff") return 50;
      return std::unexpected("is no group of this system");
    },
    .run_as = find_user};

Manifest parsed(const std::string& more) {
  auto manifest = parse_manifest(kMinimal + more, "/etc/plugins.d/kv.toml", kAccounts);
  if (manifest) return *manifest;
  ADD_FAILURE() << manifest.error().message;
  return {};
}

// Without the file's name.
std::string mistakes(const std::string& more) {
  const auto manifest = parse_manifest(kMinimal + more, "kv.toml", kAccounts);
  return manifest ? "no mistake" : manifest.error().message;
}

TEST(ManifestIsolationTest, WithoutKeysNothingIsLimited) {
  const Manifest m = parsed("");
  EXPECT_EQ(m.limits, ResourceLimits{});
  EXPECT_FALSE(m.run_as || m.umask || m.no_new_privileges || m.sandbox.any());
  EXPECT_TRUE(m.env_allow.empty() && m.sha256.empty() && m.requirements.empty());
}

TEST(ManifestIsolationTest, ReadsTheLimits) {
  const Manifest m = parsed(R"([limits]
memory = "512MiB"
cpu = "150%"
processes = 64
open_files = 1024
required = true
)");
  EXPECT_EQ(m.limits, (ResourceLimits{.memory = 512u << 20,
                                      .cpu = 150,
                                      .processes = 64,
                                      .open_files = 1024,
                                      .required = true}));
}

TEST(ManifestIsolationTest, TellsWhatIsWrongWithALimit) {
  EXPECT_EQ(mistakes("limits.memory = \"1KiB\""),
            "kv.toml:3:17: `limits.memory` must be from 1MiB to 16384GiB, not 1KiB");
  for (const char* const cpu :
       {"\"50\"", "\"0%\"", "\"%\"", "\"1.5%\"", "\"100001%\"", "\"-1%\""}) {
    EXPECT_EQ(
        mistakes("limits.cpu = " + std::string(cpu)),
        "kv.toml:3:14: `limits.cpu` must be from \"1%\" to \"100000%\", not " + std::string(cpu));
  }
  EXPECT_EQ(mistakes("limits.cpu = 50"),
            "kv.toml:3:14: `limits.cpu` must be a percentage, as text, not a number; for example "
            "\"150%\"");
  EXPECT_EQ(mistakes("limits.processes = 0"),
            "kv.toml:3:20: `limits.processes` must be from 1 to 4194304, not 0");
  EXPECT_EQ(mistakes("limits.open_files = 3"),
            "kv.toml:3:21: `limits.open_files` must be from 16 to 1048576, not 3");
  EXPECT_EQ(
      mistakes("limits.required = 1"),
      "kv.toml:3:19: `limits.required` must be true or false, not a number; for example true");
  EXPECT_EQ(mistakes("limits.required = true"),
            "kv.toml:3:8: `limits.required` needs one of the limits, such as `limits.memory`");
}

TEST(ManifestIsolationTest, FindsTheUser) {
  const Manifest named = parsed("user = \"ada\"\n");
  ASSERT_TRUE(named.run_as);
  EXPECT_EQ(named.run_as->user, (Account{1'001, "ada"}));
  EXPECT_EQ(named.run_as->group, (Account{500, ""}));
  EXPECT_EQ(named.run_as->groups, (std::vector<std::uint32_t>{500, 501}));
  const Manifest both = parsed("group = \"staff\"\nuser = 7\n");
  ASSERT_TRUE(both.run_as);
  EXPECT_EQ(both.run_as->user, (Account{7, ""}));
  EXPECT_EQ(both.run_as->group, (Account{50, "staff"}));

  EXPECT_EQ(mistakes("user = \"eve\""), "kv.toml:3:8: `user`: \"eve\" is no user of this system");
  EXPECT_EQ(mistakes("user = 1\ngroup = \"eve\""),
            "kv.toml:4:9: `group`: \"eve\" is no group of this system");
  EXPECT_EQ(mistakes("group = 5"),
            "kv.toml:3:1: `group` needs `user`: write for example user = \"kv\"");
  EXPECT_EQ(mistakes("user = 66"), "kv.toml:3:1: `user`: uid 66 is nobody's");
  EXPECT_EQ(mistakes("user = true"),
            "kv.toml:3:8: `user` must be a name or a number, not true or false; for example "
            "\"kv\"");
}

TEST(ManifestIsolationTest, AnotherUserGainsNoPrivilegesUnlessTheManifestSaysSo) {
  EXPECT_TRUE(parsed("user = 7\n").no_new_privileges);
  EXPECT_FALSE(parsed("user = 7\nno_new_privs = false\n").no_new_privileges);
  EXPECT_TRUE(parsed("no_new_privs = true\n").no_new_privileges);
}

TEST(ManifestIsolationTest, ReadsTheSandbox) {
  using Paths = std::vector<std::string>;
  const Manifest both =
      parsed("[sandbox]\nwrite_paths = [\"/var/kv/\", \"data\"]\nnetwork = false\n");
  EXPECT_EQ(both.sandbox.write_paths, (Paths{"/var/kv/", "/etc/plugins.d/data"}));
  EXPECT_FALSE(both.sandbox.network);
  EXPECT_TRUE(both.no_new_privileges);
  const Manifest none = parsed("sandbox.write_paths = []\n");
  EXPECT_EQ(none.sandbox.write_paths, Paths{});
  EXPECT_TRUE(none.sandbox.network && none.sandbox.any() && none.no_new_privileges);
  const Manifest network = parsed("sandbox.network = false\nno_new_privs = true\n");
  EXPECT_TRUE(!network.sandbox.write_paths && network.no_new_privileges);
  EXPECT_FALSE(parsed("sandbox.network = true\n").no_new_privileges);
}

TEST(ManifestIsolationTest, TellsWhatIsWrongWithTheSandbox) {
  EXPECT_EQ(mistakes("no_new_privs = false\nsandbox.write_paths = []"),
            "kv.toml:3:1: `sandbox.write_paths` needs `no_new_privs`, and sets it by itself; leave "
            "it out");
  EXPECT_EQ(mistakes("no_new_privs = false\nuser = 7\nsandbox.network = false"),
            "kv.toml:3:1: `sandbox.network` needs `no_new_privs`, and sets it by itself; leave it "
            "out");
  EXPECT_EQ(mistakes("sandbox.write_paths = [\"/var/kv/\", \"/var/kv/../kv/cache\", \"/var/kv2\"]"),
            "kv.toml:3:9: `sandbox.write_paths` names /var/kv/../kv/cache, which is below /var/kv/ "
            "and could be made a link to another place; leave it out");
  EXPECT_EQ(mistakes("sandbox.write_paths = [\"\"]"),
            "kv.toml:3:24: `sandbox.write_paths`: \"\" is empty");
  EXPECT_EQ(mistakes("sandbox.write_paths = \"/var\""),
            "kv.toml:3:23: `sandbox.write_paths` must be a list of text, not text; for example "
            "[\"/var/lib/kv\"]");
  EXPECT_EQ(mistakes("sandbox = false"),
            "kv.toml:3:1: `sandbox` is a group of keys: `sandbox.write_paths`, `sandbox.network`");
}

TEST(ManifestIsolationTest, ReadsMaskAndInheritedVariables) {
  const Manifest m = parsed("umask = \"0027\"\nenv_allow = [\"JAVA_HOME\"]\n");
  EXPECT_EQ(m.umask, 027u);
  EXPECT_EQ(m.env_allow, std::vector<std::string>{"JAVA_HOME"});
  for (const char* const mask : {"1000", "8", "", "0x1", "022 "}) {
    EXPECT_EQ(mistakes("umask = \"" + std::string(mask) + "\""),
              "kv.toml:3:9: `umask` must be octal from \"0000\" to \"0777\", not \"" +
                  std::string(mask) + "\"");
  }
  EXPECT_EQ(
      mistakes("env_allow = [\"A=B\"]"),
      "kv.toml:3:14: `env_allow`: \"A=B\" is not a name to inherit: an environment variable's "
      "name has no '=' and no control character");
  EXPECT_NE(mistakes("env_allow = [\"LISTEN_FDS\"]"), "no mistake");
}

TEST(ManifestIsolationTest, AChecksumIsWholeAndInLowerCase) {
  const std::string sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
  EXPECT_EQ(parsed("sha256 = \"" + sum + "\"").sha256, sum);
  for (const std::string& wrong : {sum.substr(1), sum + "0", "F" + sum.substr(1), std::string()}) {
    EXPECT_NE(mistakes("sha256 = \"" + wrong + "\"").find("is not a SHA-256 checksum"),
              std::string::npos)
        << wrong;
  }
}

TEST(ManifestIsolationTest, ReadsWhatIsRequired) {
  const Manifest m = parsed(R"([[requires]]
command = ["java", "-version"]
version = "17"
timeout = "2s"
hint = "Install Java 17."
[[requires]]
command = ["./check"]
hint = "Run ./setup."
[[requires]]
file = "licence"
hint = "Buy one."
)");
  ASSERT_EQ(m.requirements.size(), 3u);
  EXPECT_EQ(m.requirements[0], (Requirement{.command = {"java", "-version"},
                                            .version = "17",
                                            .file = "",
                                            .hint = "Install Java 17.",
                                            .timeout = 2s}));
  EXPECT_EQ(m.requirements[1].command, std::vector<std::string>{"/etc/plugins.d/check"});
  EXPECT_EQ(m.requirements[1].timeout, 10s);
  EXPECT_EQ(m.requirements[2].file, "/etc/plugins.d/licence");
}

TEST(ManifestIsolationTest, TellsWhatIsWrongWithARequirement) {
  const auto wrong = [](const std::string& inner) {
    return mistakes("requires = [{ hint = \"h\", " + inner + " }]");
  };
  EXPECT_EQ(
      mistakes("requires = [{ file = \"x\" }]"),
      "kv.toml:3:13: `requires.hint` is missing; write for example hint = \"Install Java 17.\"");
  EXPECT_EQ(wrong("file = \"x\", command = [\"y\"]"),
            "kv.toml:3:13: `requires`: a requirement has a `command` or a `file`");
  EXPECT_EQ(wrong("file = \"x\", version = \"1\""),
            "kv.toml:3:13: `requires`: `version` and `timeout` need a `command`");
  EXPECT_EQ(wrong("command = []"),
            "kv.toml:3:37: `requires.command` must be a list of text with a program");
  EXPECT_EQ(wrong("command = [\"\"]"), "kv.toml:3:38: `requires.command`: \"\" is empty");
  for (const char* const version : {"v1", "1.", ".1", "1..2", ">=1"}) {
    EXPECT_NE(wrong("command = [\"x\"], version = \"" + std::string(version) + "\"")
                  .find("is no version: write numbers with dots"),
              std::string::npos)
        << version;
  }
  EXPECT_NE(wrong("command = [\"x\"], timeout = \"0s\"").find("must be from 10ms to 10m, not 0s"),
            std::string::npos);
  EXPECT_EQ(wrong("file = \"x\", verison = \"1\""),
            "kv.toml:3:39: unknown key `requires.verison`; did you mean `version`?");
  EXPECT_EQ(wrong("command = [1]"), "kv.toml:3:38: `requires.command` must be a list of text");
  EXPECT_EQ(wrong("file = 1"), "kv.toml:3:34: `requires.file` must be text");
  EXPECT_EQ(wrong("file = \"a\\u0000\""),
            "kv.toml:3:34: `requires.file`: \"a\\x00\" has a NUL character");
  EXPECT_NE(mistakes("requires = [1]").find("must be a list of tables, not a number"),
            std::string::npos);
  EXPECT_NE(mistakes("requires = \"java\"").find("must be a list of tables, not text"),
            std::string::npos);
}

}  // namespace
}  // namespace plugind::plugin
