// What a manifest says of the rights and the means of its plugin, on real processes.
#include <gmock/gmock.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>

#include "tests/e2e/daemon_test.h"
#include "tests/e2e/other_user.h"

namespace plugind::e2e {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

namespace fs = std::filesystem;

// Of nobody on any system.
constexpr const char* kUser = "user = 61040\ngroup = 61041\n";
constexpr const char* kDaemonUser = "61042:61042";

class Isolation : public DaemonTest {
 protected:
  std::string open_copy(const std::string& program) const {
    return e2e::open_copy(directory_, program);
  }
  std::string home() const { return home_line(directory_); }
  v1::HeldLimit held(const std::string& plugin, const std::string& name) const {
    const v1::Plugin status = get_plugin(plugin);
    for (const v1::Instance& instance : status.instances()) {
      for (const v1::HeldLimit& limit : instance.limits()) {
        if (limit.name() == name) return limit;
      }
    }
    ADD_FAILURE() << plugin << " has no limit " << name;
    return {};
  }
  testing::Run status(const std::string& plugin) const {
    return testing::run({PLUGINCTL, "--socket", directory_.socket(), "status", plugin});
  }
  static std::string sha256(const std::string& file) {
    return testing::run({"sha256sum", file}).out.substr(0, 64);
  }
};

/// A listener on a port of this machine.
class TcpListener {
 public:
  TcpListener() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    const bool listens = ::bind(socket_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                         ::listen(socket_, 8) == 0 &&
                         ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    EXPECT_TRUE(listens);
    port_ = ntohs(address.sin_port);
  }
  ~TcpListener() { ::close(socket_); }
  std::string port() const { return std::to_string(port_); }

 private:
  const int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int port_ = 0;
};

bool has_landlock() {
  return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 3;
}

#ifndef DAEMON_IS_SANITIZED  // Sanitizers reserve more memory than any limit allows.
TEST_F(Isolation, AForkBombDescriptorsAndMemoryAreHeld) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's program needs more than the limits leave";
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  usual_manifests();
  // The kernel counts all that a user has, another run of this test included.
  const std::string user = std::to_string(61'100 + ::getpid() % 4'000);
  manifest("held", {open_copy(kTestPlugin)},
           "user = " + user + "\ngroup = 61041\n" + home() +
               "limits = { memory = '400MiB', processes = 60, open_files = 300 }\n");
  start();
  Bystander bystander(front());
  EXPECT_EQ(answer("held", "!open-files"), "300");
  EXPECT_EQ(answer("held", "!allocate 100"), "given");
  if (held("held", "memory").holder() == v1::LIMIT_HOLDER_PROCESS_LIMIT) {
    EXPECT_EQ(answer("held", "!allocate 500"), "refused");
  }
  const int made = std::stoi(answer("held", "!fork-bomb 200"));
  EXPECT_GT(made, 5);
  EXPECT_LT(made, 60);
  EXPECT_EQ(answer("held", "still here"), "still here");
  EXPECT_EQ(bystander.complaint(), "");

  EXPECT_NE(held("held", "memory").holder(), v1::LIMIT_HOLDER_NOTHING);
  EXPECT_NE(held("held", "processes").holder(), v1::LIMIT_HOLDER_NOTHING);
  EXPECT_EQ(held("held", "open_files").holder(), v1::LIMIT_HOLDER_PROCESS_LIMIT);
  EXPECT_THAT(status("held").out,
              AllOf(HasSubstr("  memory:       at most 400 MiB ("),
                    HasSubstr("  processes:    at most 60 ("),
                    HasSubstr("  open files:   at most 300 (process limit: of each process)\n"),
                    HasSubstr("  user:         " + user + ", group 61041, no new privileges\n")));
}
#endif

TEST_F(Isolation, ALimitThatNothingHoldsIsShownOrRefused) {
  manifest("lax", {kTestPlugin}, "limits.cpu = '50%'\n");
  manifest("strict", {kTestPlugin}, "limits = { cpu = '50%', required = true }\n");
  start();
  EXPECT_EQ(answer("lax", "hello"), "hello");
  if (held("lax", "cpu").holder() == v1::LIMIT_HOLDER_CONTROL_GROUP) {
    GTEST_SKIP() << "a control group holds it";
  }
  EXPECT_THAT(status("lax").out, HasSubstr("  cpu:          at most 50% (NOT ENFORCED: "));
  EXPECT_THAT(get_plugin("lax").cause(), HasSubstr("greeted; not enforced here: limits.cpu"));
  EXPECT_TRUE(daemon().wait_log("not enforced here: limits.cpu"));
  const Told refusal = failure("strict");
  EXPECT_EQ(refusal.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(refusal.reason, "ISOLATION_UNAVAILABLE");
  EXPECT_THAT(refusal.message,
              AllOf(HasSubstr("limits.cpu cannot be enforced here"), HasSubstr("limits.required")));
}

TEST_F(Isolation, APluginRunsAsAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  const std::string program = open_copy(kTestPlugin);
  manifest("other", {program},
           std::string(kUser) + home() + "umask = '0027'\nenv_allow = ['E2E_INHERITED']\n");
  manifest("go", {program},
           std::string(kUser) + "dialect = 'go-plugin'\nno_new_privs = false\n" +
               "env = { E2E_COOKIE = 'right', HOME = '" + (directory_.path() / "home").string() +
               "' }\n");
  ::setenv("E2E_INHERITED", "yes", 1);
  start();
  ::unsetenv("E2E_INHERITED");
  EXPECT_EQ(answer("other", "!rights"),
            "Umask:\t0027\nUid:\t61040\t61040\t61040\t61040\nGid:\t61041\t61041\t61041\t61041\n"
            "Groups:\t61041 \nNoNewPrivs:\t1\n");
  EXPECT_EQ(answer("other", "!environment E2E_INHERITED"), "yes");
  EXPECT_EQ(answer("other", "!environment USER"), "") << "the daemon's own";
  EXPECT_THAT(answer("go", "!rights"), HasSubstr("NoNewPrivs:\t0\n"));
  EXPECT_EQ(answer("go", "!environment E2E_INHERITED"), "");
  // It can use its own directory, and nobody else of that kind can look into it.
  const fs::path own = answer("other", "!environment TMPDIR");
  EXPECT_EQ(own.parent_path(), directory_.runtime() / "users");
  struct stat info;
  ASSERT_EQ(::stat(own.c_str(), &info), 0);
  EXPECT_EQ(info.st_uid, 61040u);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
}

TEST_F(Isolation, OnlyRootStartsPluginsOfOtherUsers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make processes of other users; run as root";
  manifest("other", {"/bin/true"}, kUser);
  manifest("own", {open_copy(kTestPlugin)}, "user = 61042\ngroup = 61042\n" + home());
  ASSERT_EQ(::chown(directory_.path().c_str(), 61042, 61042), 0);
  start({}, {fs::read_symlink("/proc/self/exe"), "--as", kDaemonUser, open_copy(kPlugind)});
  const Told refusal = failure("other");
  EXPECT_EQ(refusal.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(refusal.reason, "ISOLATION_UNAVAILABLE");
  EXPECT_THAT(refusal.message,
              AllOf(HasSubstr("plugin 'other' cannot start: cannot start /bin/true as uid 61040"),
                    HasSubstr("plugind runs as uid 61042: run it as root, or remove `user`")));
  EXPECT_EQ(answer("own", "hello"), "hello") << "its own user is no other user";
  EXPECT_EQ(get_plugin("other").instances_size(), 0);
}

TEST_F(Isolation, AUserIsLookedUpWhenTheManifestIsRead) {
  manifest("a", {kTestPlugin}, "user = 'no-such-user'\n");
  manifest("b", {kTestPlugin}, "user = 61040\n");
  const testing::Run run = testing::run({kPlugind, "--socket", directory_.socket(), "--manifests",
                                         directory_.manifests(), "--check"});
  EXPECT_EQ(run.exit, Exit{.code = 1});
  EXPECT_THAT(run.err,
              AllOf(HasSubstr("a.toml:3:8: `user`: \"no-such-user\" is no user of this "
                              "system\n"),
                    HasSubstr("b.toml:3:1: `user`: uid 61040 is no user of this system, so "
                              "its group is not known; add `group`\n")));
}

TEST_F(Isolation, APinnedProgramIsTheOneThatRuns) {
  const std::string program = open_copy(kTestPlugin);
  manifest("pinned", {program}, "sha256 = '" + sha256(program) + "'\nrestart.backoff = '1ms'\n");
  manifest("wrong", {program}, "sha256 = '" + std::string(64, '0') + "'\n");
  start();
  EXPECT_EQ(answer("pinned", "hello"), "hello");
  const Told refusal = failure("wrong");
  EXPECT_EQ(refusal.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(refusal.reason, "CHECKSUM_MISMATCH");
  EXPECT_EQ(refusal.metadata.at("expected"), std::string(64, '0'));
  EXPECT_EQ(refusal.metadata.at("found"), sha256(program));
  EXPECT_THAT(refusal.message, AllOf(HasSubstr(sha256(program)), HasSubstr(std::string(64, '0'))));

  // Somebody installs another program in its place.
  fs::remove(program);
  fs::copy_file("/bin/true", program);
  EXPECT_EQ(answer("pinned", "again"), "again") << "what runs is not touched";
  EXPECT_EQ(testing::run({PLUGINCTL, "--socket", directory_.socket(), "stop", "pinned"}).exit,
            Exit{.code = 0});
  const testing::Run restarted =
      testing::run({PLUGINCTL, "--socket", directory_.socket(), "start", "pinned"});
  EXPECT_THAT(restarted.err, HasSubstr("CHECKSUM_MISMATCH"));
}

TEST_F(Isolation, ASandboxedPluginServesAndIsHeld) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock of ABI 3";
  const std::string program = open_copy(kTestPlugin);
  const fs::path data = directory_.path() / "data", other = directory_.path() / "other";
  for (const fs::path& directory : {data, other}) {
    fs::create_directory(directory);
    ASSERT_EQ(::chown(directory.c_str(), 61040, 61041), 0);
  }
  const std::string sandbox =
      "sandbox = { write_paths = ['" + data.string() + "'], network = false }\n";
  const std::string go = std::string(kUser) +
                         "dialect = 'go-plugin'\nenv = { E2E_COOKIE = 'right', HOME = '" +
                         (directory_.path() / "home").string() + "' }\n";
  manifest("boxed", {program}, kUser + home() + sandbox);
  manifest("boxed-go", {program}, go + sandbox);
  manifest("free", {program}, kUser + home());
  start();
  const TcpListener listener;
  for (const std::string plugin : {"boxed", "boxed-go"}) {
    SCOPED_TRACE(plugin);
    const testing::Run doctor =
        testing::run({PLUGINCTL, "--socket", directory_.socket(), "doctor", plugin});
    EXPECT_EQ(doctor.exit, Exit{.code = 0}) << doctor.out;
    EXPECT_EQ(answer(plugin, "hello"), "hello");
    const std::string file = (data / plugin).string();
    EXPECT_EQ(answer(plugin, "!record " + file + " kept"), "kept");
    EXPECT_TRUE(fs::exists(file));
    const std::string own = answer(plugin, "!environment TMPDIR");
    EXPECT_EQ(answer(plugin, "!record " + own + "/file kept"), "kept");
    EXPECT_EQ(failure(plugin, "!record " + (other / plugin).string() + " lost").message,
              "cannot write");
    EXPECT_FALSE(fs::exists(other / plugin));
    EXPECT_EQ(answer(plugin, "!connect " + listener.port()), "ECONNREFUSED");
    EXPECT_THAT(answer(plugin, "!rights"), HasSubstr("NoNewPrivs:\t1\n"));
    EXPECT_THAT(status(plugin).out,
                HasSubstr("  sandbox:      writes only to its own directory and " + data.string() +
                          "; no network\n"));
  }
  EXPECT_EQ(answer("free", "!record " + (other / "free").string() + " kept"), "kept");
  EXPECT_EQ(answer("free", "!connect " + listener.port()), "connected");
}

TEST_F(Isolation, ASandboxThatIsNotToBeHadIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock of ABI 3";
  // So that another user gets to its instance's directory.
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0711), 0);
  manifest("lost", {kTestPlugin}, "sandbox.write_paths = ['../nowhere']\n");
  manifest("root", {kTestPlugin}, "sandbox.network = false\n");
  manifest("tcp", {"/bin/sh", "-c", "echo '1|1|tcp|127.0.0.1:1234|grpc'; exec sleep 1000"},
           std::string(kUser) + home() + "dialect = 'go-plugin'\nsandbox.network = false\n");
  start();
  const auto expect_refused = [&](const std::string& plugin, const std::string& setting,
                                  const std::string& why) {
    const Told refusal = failure(plugin);
    EXPECT_EQ(refusal.code, grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(refusal.reason, "ISOLATION_UNAVAILABLE");
    EXPECT_THAT(refusal.metadata, Contains(Pair("setting", setting)));
    EXPECT_THAT(refusal.message, HasSubstr(why));
  };
  const std::string lost = "`sandbox.write_paths` names " +
                           (directory_.path() / "nowhere").string() + ", which does not exist";
  expect_refused("lost", "sandbox.write_paths", lost);
  expect_refused("root", "sandbox.network", "would run as root, who can leave it again");
  expect_refused("tcp", "sandbox.network", "it listens on tcp:127.0.0.1:1234, where");
  const testing::Run doctor =
      testing::run({PLUGINCTL, "--socket", directory_.socket(), "doctor", "lost", "--json"});
  EXPECT_EQ(doctor.exit, Exit{.code = 6});
  EXPECT_THAT(doctor.out, AllOf(HasSubstr("\"check\":\"sandbox\""), HasSubstr(lost)));
}

TEST_F(Isolation, ADaemonThatMayMakeNoNamespaceSaysSo) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make processes of other users; run as root";
  manifest("cut-off", {open_copy(kTestPlugin)}, home() + "sandbox.network = false\n");
  ASSERT_EQ(::chown(directory_.path().c_str(), 61042, 61042), 0);
  start({}, {fs::read_symlink("/proc/self/exe"), "--as", kDaemonUser, open_copy(kPlugind)});
  const Told refusal = failure("cut-off");
  EXPECT_EQ(refusal.reason, "ISOLATION_UNAVAILABLE");
  EXPECT_THAT(refusal.message, AllOf(HasSubstr("no network namespace"), HasSubstr("EPERM"),
                                     HasSubstr("run plugind as root or with CAP_SYS_ADMIN")));
}

TEST_F(Isolation, WhatIsRequiredIsCheckedUntilItIsThere) {
  manifest("needs", {kTestPlugin},
           "restart.backoff = '1ms'\n"
           "[[requires]]\ncommand = ['sh', '-c', 'echo tool 2.10.1']\nversion = '2.9'\n"
           "hint = 'Install tool 2.9.'\n"
           "[[requires]]\nfile = '../licence'\nhint = 'Put the licence beside the manifests.'\n");
  manifest("old", {kTestPlugin},
           "[[requires]]\ncommand = ['sh', '-c', 'echo tool 2.8; sleep 1000 & :']\n"
           "version = '2.9'\nhint = 'Install tool 2.9.'\n");
  start();
  const Told old = failure("old");
  EXPECT_EQ(old.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(old.reason, "REQUIREMENT_MISSING");
  EXPECT_THAT(old.message, HasSubstr("to tell version 2.9 or later, and it tells 2.8. Install tool "
                                     "2.9."));
  const Told refusal = failure("needs");
  EXPECT_EQ(refusal.reason, "REQUIREMENT_MISSING");
  EXPECT_EQ(refusal.metadata.at("requirement"), (directory_.path() / "licence").string());
  EXPECT_THAT(refusal.message,
              HasSubstr("licence, which does not exist. Put the licence beside the manifests."));
  directory_.write("licence", "yes");
  EXPECT_EQ(answer("needs", "hello"), "hello");
  // After a failure, and only then, it is looked at again.
  fs::remove(directory_.path() / "licence");
  EXPECT_EQ(answer("needs", "hello"), "hello");
  EXPECT_EQ(failure("needs", "!exit 3").reason, "PLUGIN_CRASHED");
  EXPECT_EQ(failure("needs").reason, "REQUIREMENT_MISSING");
}

}  // namespace
}  // namespace plugind::e2e
