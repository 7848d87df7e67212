// Programs that try to get out of their sandbox: to files outside of their paths, and to the
// network.
#include "daemon/platform/linux/sandbox.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "daemon/platform/linux/child_setup.h"
#include "daemon/platform/linux/launcher.h"
#include "daemon/platform/posix/unix_listener.h"
#include "process_test.h"

namespace plugind::platform {
namespace {

namespace fs = std::filesystem;

// Of nobody on any system.
constexpr std::uint32_t kStranger = 61'022;

// What the programs of the tests below do.

std::string told;

void tell(const char* deed, int result) {
  told += std::string(deed) + " " + (result >= 0 ? "done" : ::strerrorname_np(errno)) + "\n";
}

int say_told() {
  return ::write(STDOUT_FILENO, told.data(), told.size()) == static_cast<ssize_t>(told.size()) ? 0
                                                                                               : 99;
}

int bind_in(const std::string& directory) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::strncpy(address.sun_path, (directory + "/socket").c_str(), sizeof(address.sun_path) - 1);
  return ::bind(::socket(AF_UNIX, SOCK_STREAM, 0), reinterpret_cast<sockaddr*>(&address),
                sizeof(address));
}

/// Every way to change something in a directory that has the files a to g, an empty directory and a
/// full one.
int change_all(const std::vector<std::string>& arguments) {
  const std::string in = arguments.at(0) + "/";
  const auto path = [&](const char* name) { return in + name; };
  tell("write", ::open(path("a").c_str(), O_WRONLY));
  tell("append", ::open(path("a").c_str(), O_WRONLY | O_APPEND));
  tell("empty-by-open", ::open(path("b").c_str(), O_RDONLY | O_TRUNC));
  tell("truncate", ::truncate(path("c").c_str(), 1));
  tell("create", ::open(path("new").c_str(), O_RDONLY | O_CREAT, 0600));
  tell("unlink", ::unlink(path("d").c_str()));
  tell("rename", ::rename(path("e").c_str(), path("e2").c_str()));
  tell("move", ::rename(path("g").c_str(), path("full/g").c_str()));
  tell("link", ::link(path("f").c_str(), path("f2").c_str()));
  tell("symlink", ::symlink("f", path("f3").c_str()));
  tell("mkdir", ::mkdir(path("directory").c_str(), 0700));
  tell("rmdir", ::rmdir(path("empty").c_str()));
  tell("mkfifo", ::mkfifo(path("fifo").c_str(), 0600));
  tell("bind", bind_in(arguments.at(0)));
  return say_told();
}

/// The same, two processes and a session further on, by a program of its own.
int change_all_from_afar(const std::vector<std::string>& arguments) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      const std::string self = own_executable();
      ::execl(self.c_str(), self.c_str(), "--child", "change-all", arguments.at(0).c_str(),
              nullptr);
      ::_exit(97);
    }
    int status = 0;
    ::waitpid(grandchild, &status, 0);
    ::_exit(WEXITSTATUS(status));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

/// To bring a file of OUTSIDE into OWN, where it could be written to, and out again.
int carry_over(const std::vector<std::string>& arguments) {
  const std::string outside = arguments.at(0), own = arguments.at(1);
  tell("rename-in", ::rename((outside + "/a").c_str(), (own + "/stolen").c_str()));
  tell("link-in", ::link((outside + "/b").c_str(), (own + "/linked").c_str()));
  tell("rename-out", ::rename((own + "/a").c_str(), (outside + "/planted").c_str()));
  ::symlink((outside + "/c").c_str(), (own + "/symbolic").c_str());
  tell("write-through-link", ::open((own + "/symbolic").c_str(), O_WRONLY));
  return say_told();
}

int use_devices(const std::vector<std::string>& arguments) {
  tell("null", ::open("/dev/null", O_RDWR | O_TRUNC));
  tell("zero", ::open("/dev/zero", O_RDWR));
  tell("file", ::open(arguments.at(0).c_str(), O_WRONLY | O_TRUNC));
  tell("beside", ::open((arguments.at(0) + "2").c_str(), O_WRONLY | O_CREAT, 0600));
  tell("read", ::open("/etc/passwd", O_RDONLY));
  tell("mknod", ::mknod((arguments.at(1) + "/node").c_str(), S_IFCHR | 0600, 0x103));
  return say_told();
}

int connect_tcp(const char* host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  ::inet_pton(AF_INET, host, &address.sin_addr);
  return ::connect(::socket(AF_INET, SOCK_STREAM, 0), reinterpret_cast<sockaddr*>(&address),
                   sizeof(address));
}

int connect_unix(const std::string& path, bool abstract) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path + abstract, path.data(), path.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return ::connect(::socket(AF_UNIX, SOCK_STREAM, 0), reinterpret_cast<sockaddr*>(&address), size);
}

/// A listener on loopback, and its port.
std::pair<UniqueFd, int> listen_tcp() {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener.get(), 8) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return {};
  }
  return {std::move(listener), ntohs(address.sin_port)};
}

int connect_all(const std::vector<std::string>& arguments) {
  tell("tcp", connect_tcp("127.0.0.1", std::stoi(arguments.at(0))));
  tell("abstract", connect_unix(arguments.at(1), true));
  tell("path", connect_unix(arguments.at(2), false));
  const auto own = listen_tcp();
  tell("own-loopback", connect_tcp("127.0.0.1", own.second));
  // The way back.
  const int network = ::open(("/proc/" + arguments.at(3) + "/ns/net").c_str(), O_RDONLY);
  tell("return", network == -1 ? -1 : ::setns(network, CLONE_NEWNET));
  return say_told();
}

const RegisterChild kChildren[] = {{"change-all", change_all},
                                   {"change-all-from-afar", change_all_from_afar},
                                   {"carry-over", carry_over},
                                   {"use-devices", use_devices},
                                   {"connect-all", connect_all}};

bool has_landlock() {
  return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 3;
}

bool has_network_namespaces() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::unshare(CLONE_NEWNET) == 0 ? 0 : 1);
  int status = 0;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

class SandboxTest : public ProcessTest {
 protected:
  void SetUp() override {
    ProcessTest::SetUp();
    ASSERT_EQ(::chmod(directory_.path().c_str(), 0711), 0);
    for (const fs::path& directory : {own_, outside_}) {
      fs::create_directories(directory / "empty");
      fs::create_directories(directory / "full");
      for (const char* const name : {"a", "b", "c", "d", "e", "f", "g"}) {
        std::ofstream(directory / name) << "content";
      }
    }
  }
  /// May write below `own_` only.
  SpawnRequest confined(const std::string& name, const std::vector<std::string>& arguments = {}) {
    SpawnRequest request = child(name, arguments);
    request.sandbox.write_paths = {own_.string()};
    return request;
  }
  /// Without a network, and another user, since root may have one again.
  SpawnRequest cut_off(const std::string& name, const std::vector<std::string>& arguments = {}) {
    SpawnRequest request = child(name, arguments);
    const fs::path copy = directory_.path() / "program";
    if (!fs::exists(copy)) fs::copy_file(own_executable(), copy);
    EXPECT_EQ(::chmod(copy.c_str(), 0755), 0);
    request.executable = copy;
    request.working_directory = "/";
    request.run_as = RunAs{.uid = kStranger, .gid = kStranger, .groups = {}};
    request.sandbox.network = false;
    return request;
  }
  /// What it prints.
  std::string output(SpawnRequest request) {
    out_.clear();
    const auto status = run_child(std::move(request));
    EXPECT_TRUE(status && status->code == 0) << err_;
    return out_;
  }
  Error refusal(SpawnRequest request) {
    auto process = spawn(*trees_, std::move(request));
    if (!process) return process.error();
    ADD_FAILURE() << "it was started";
    return {};
  }

  TemporaryDirectory directory_;
  const fs::path own_ = directory_.path() / "own", outside_ = directory_.path() / "outside";
};
INSTANTIATE_TEST_SUITE_P(Keeping, SandboxTest,
                         testing::Values(TreeKeeping::kBest, TreeKeeping::kSweepOnly),
                         keeping_name);

constexpr const char* kDeeds[] = {"write",  "append", "empty-by-open", "truncate", "create",
                                  "unlink", "rename", "move",          "link",     "symlink",
                                  "mkdir",  "rmdir",  "mkfifo",        "bind"};

std::string all(const std::string& result) {
  std::string text;
  for (const char* const deed : kDeeds) text += std::string(deed) + " " + result + "\n";
  return text;
}

TEST_P(SandboxTest, FilesChangeInTheWritePathsOnly) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock of ABI 3";
  EXPECT_EQ(output(confined("change-all", {outside_})), all("EACCES"));
  EXPECT_EQ(output(confined("change-all", {own_})), all("done"));
  for (const char* const name : {"a", "b", "c", "d", "e", "f", "g"}) {
    EXPECT_EQ(fs::file_size(outside_ / name), 7u) << name;
  }
  EXPECT_TRUE(fs::exists(outside_ / "empty"));
  EXPECT_EQ(std::distance(fs::directory_iterator(outside_), {}), 9);
  EXPECT_EQ(output(child("change-all", {outside_})), all("done")) << "without a sandbox";
}

TEST_P(SandboxTest, WhatItStartsIsHeldToo) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock of ABI 3";
  EXPECT_EQ(output(confined("change-all-from-afar", {outside_})), all("EACCES"));
  EXPECT_EQ(output(confined("change-all-from-afar", {own_})), all("done"));
}

TEST_P(SandboxTest, NoFileIsCarriedAcross) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock of ABI 3";
  const std::string told = output(confined("carry-over", {outside_, own_}));
  EXPECT_EQ(told,
            "rename-in EACCES\nlink-in EXDEV\nrename-out EACCES\nwrite-through-link EACCES\n");
  EXPECT_TRUE(fs::exists(outside_ / "a") && !fs::exists(outside_ / "planted"));
}

TEST_P(SandboxTest, ASingleFileAndTheHarmlessDevicesAreWritable) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock of ABI 3";
  SpawnRequest request = confined("use-devices", {outside_ / "a", own_});
  request.sandbox.write_paths->push_back(outside_ / "a");
  EXPECT_EQ(output(std::move(request)),
            "null done\nzero done\nfile done\nbeside EACCES\nread done\nmknod " +
                std::string(::geteuid() == 0 ? "EACCES" : "EPERM") + "\n");
  EXPECT_EQ(fs::file_size(outside_ / "a"), 0u);
}

TEST_P(SandboxTest, AnotherUsersProgramIsConfinedAndGainsNothing) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock of ABI 3";
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  for (const fs::path& directory : {own_, outside_}) {
    ASSERT_EQ(::chown(directory.c_str(), kStranger, kStranger), 0);
    for (const auto& entry : fs::directory_iterator(directory)) {
      ASSERT_EQ(::chown(entry.path().c_str(), kStranger, kStranger), 0);
    }
  }
  SpawnRequest request = cut_off("change-all", {outside_});
  request.sandbox = {.write_paths = {{own_.string()}}, .network = true};
  EXPECT_EQ(output(request), all("EACCES"));
  request.arguments = child_arguments("change-all", {own_});
  EXPECT_EQ(output(request), all("done"));
  request.arguments = child_arguments("rights");
  EXPECT_NE(output(request).find("NoNewPrivs:\t1\n"), std::string::npos);
}

TEST_P(SandboxTest, ASealedProgramIsConfinedAndNoDescriptorIsLeft) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock of ABI 3";
  const std::atomic<bool> stop{false};
  // As the error of a wrong one tells it.
  const auto wrong = seal_program(own_executable(), std::string(64, '0'), stop);
  ASSERT_TRUE(!wrong && wrong.error().details.size() == 2);
  const auto sealed = seal_program(own_executable(), wrong.error().details[1].second, stop);
  ASSERT_TRUE(sealed) << sealed.error().message;
  SpawnRequest request = confined("change-all", {outside_});
  request.sealed = *sealed;
  EXPECT_EQ(output(std::move(request)), all("EACCES"));
  request = confined("descriptors");
  request.sealed = *sealed;
  EXPECT_EQ(output(std::move(request)), "fds 0 1 2\n");
}

TEST_P(SandboxTest, APathThatIsNotThereIsNamed) {
  if (!has_landlock()) GTEST_SKIP() << "the kernel has no Landlock of ABI 3";
  SpawnRequest request = confined("exit", {"0"});
  request.sandbox.write_paths->push_back("/nonexistent/data");
  request.listen_socket = directory_.path() / "plugin.sock";
  const auto rehearsed = rehearse(*trees_, request);
  ASSERT_FALSE(rehearsed);
  EXPECT_EQ(rehearsed.error().reason, Reason::kIsolationUnavailable);
  const Error error = refusal(request);
  EXPECT_EQ(error.reason, Reason::kIsolationUnavailable);
  EXPECT_EQ(error.message,
            "`sandbox.write_paths` names /nonexistent/data, which does not exist: make it, or "
            "correct the manifest");
  EXPECT_EQ(error.details, (decltype(error.details){{"setting", "sandbox.write_paths"}}));
  EXPECT_FALSE(fs::exists(request.listen_socket));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST_P(SandboxTest, NoNetworkIsLeft) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may start programs of other users";
  if (!has_network_namespaces()) GTEST_SKIP() << "no network namespace can be made here";
  const auto [listener, port] = listen_tcp();
  ASSERT_TRUE(listener);
  const std::string socket = directory_.path() / "listener";
  const auto by_path = bind_and_listen(socket, 0666, 8);
  ASSERT_TRUE(by_path);
  const std::string abstract = "plugind-test-" + std::to_string(::getpid());
  const UniqueFd hidden(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path + 1, abstract.data(), abstract.size());
  ASSERT_EQ(::bind(hidden.get(), reinterpret_cast<sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + abstract.size() + 1)),
            0);
  ASSERT_EQ(::listen(hidden.get(), 8), 0);

  const std::vector<std::string> arguments{std::to_string(port), abstract, socket,
                                           std::to_string(::getpid())};
  SpawnRequest request = cut_off("connect-all", arguments);
  const std::string way_back = "return EACCES\n";
  EXPECT_EQ(output(request),
            "tcp ECONNREFUSED\nabstract ECONNREFUSED\npath done\nown-loopback done\n" + way_back);
  request.sandbox.network = true;
  EXPECT_EQ(output(request), "tcp done\nabstract done\npath done\nown-loopback done\n" + way_back)
      << "without a sandbox";
}

TEST_P(SandboxTest, WhoCouldLeaveItIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "it is about root";
  SpawnRequest request = child("exit", {"0"});
  request.sandbox.network = false;
  for (const bool named : {false, true}) {
    if (named) request.run_as = RunAs{.uid = 0, .gid = 0, .groups = {}};
    const Error error = refusal(request);
    EXPECT_EQ(error.reason, Reason::kIsolationUnavailable);
    EXPECT_EQ(error.message,
              "`sandbox.network` cannot be enforced here: the plugin would run as root, who can "
              "leave it again: give the plugin a `user`");
  }
}

TEST_P(SandboxTest, WhoMayMakeNoNamespaceIsToldWhatItTakes) {
  if (::geteuid() != 0) GTEST_SKIP() << "root becomes another user for this";
  if (trees_->kept_by_kernel()) GTEST_SKIP() << "others may make no control groups here";
  SpawnRequest request = child("exit", {"0"});
  request.executable = "/bin/true";
  request.sandbox.network = false;
  ASSERT_EQ(::seteuid(kStranger), 0);
  const auto refused = spawn(*trees_, request);
  const auto rehearsed = rehearse(*trees_, request);
  ASSERT_EQ(::seteuid(0), 0);
  ASSERT_FALSE(refused);
  EXPECT_FALSE(rehearsed);
  EXPECT_EQ(refused.error().reason, Reason::kIsolationUnavailable);
  EXPECT_EQ(refused.error().message,
            "`sandbox.network` cannot be enforced here: the kernel gives /bin/true no network "
            "namespace: Operation not permitted (EPERM); plugind runs as uid 61022: run plugind as "
            "root or with CAP_SYS_ADMIN and CAP_NET_ADMIN, or remove it from the manifest");
  EXPECT_EQ(refused.error().details, (decltype(Error::details){{"setting", "sandbox.network"}}));
}

/// Becomes a user who is not root and has two capabilities, which children inherit.
bool become_privileged_stranger() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = data[0].permitted = data[0].inheritable =
      1u << CAP_SYS_ADMIN | 1u << CAP_NET_ADMIN;
  return ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
         ::setresuid(kStranger, kStranger, kStranger) == 0 &&
         ::syscall(SYS_capset, &header, data) == 0 &&
         ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0) == 0 &&
         ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) == 0;
}

/// Gives whoever executes the file two capabilities, as setcap(8) does.
bool give_capabilities(const fs::path& file) {
  vfs_cap_data data{};
  data.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
  data.data[0].permitted = 1u << CAP_SYS_ADMIN | 1u << CAP_NET_ADMIN;
  return ::setxattr(file.c_str(), "security.capability", &data, XATTR_CAPS_SZ_2, 0) == 0;
}

/// What a program finds that a daemon with capabilities, but not of root, starts without a network.
std::string capabilities_of(const fs::path& grep) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "no pipe";
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const pid_t daemon = ::fork();
  if (daemon == 0) {
    if (!become_privileged_stranger()) ::_exit(1);
    const auto plan = plan_sandbox({.write_paths = {}, .network = false}, kStranger);
    if (!plan) ::_exit(2);
    boost::asio::io_context io;
    CloneLauncher launcher;
    boost::system::error_code ec;
    auto process =
        launcher(io.get_executor(), ec, CloneLauncher::Path(grep.string()),
                 std::vector<std::string>{"-E", "CapPrm|CapEff|CapAmb", "/proc/self/status"},
                 BindDescriptor{STDOUT_FILENO, writing.get()}, NoNetwork{plan->no_network},
                 NoNewPrivileges{true}, Confinement{*plan});
    if (ec) ::_exit(3);
    process.detach();
    int status = 0;
    ::waitpid(-1, &status, 0);
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 4);
  }
  writing.reset();
  std::string text;
  char buffer[256];
  for (ssize_t n; (n = ::read(reading.get(), buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  int status = 0;
  if (::waitpid(daemon, &status, 0) != daemon) return "no status";
  return status == 0 ? text : "status " + std::to_string(status);
}

constexpr const char* kNoCapabilities =
    "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\n";

TEST(SandboxCapabilitiesTest, ADaemonThatIsNotRootPassesNoneOn) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may give a capability";
  if (!has_network_namespaces()) GTEST_SKIP() << "no network namespace can be made here";
  EXPECT_EQ(capabilities_of("/bin/grep"), kNoCapabilities);
}

TEST(SandboxCapabilitiesTest, AProgramThatHasSomeOfItsOwnDoesNotGetThem) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root may give a capability";
  if (!has_network_namespaces()) GTEST_SKIP() << "no network namespace can be made here";
  const TemporaryDirectory directory;
  ASSERT_EQ(::chmod(directory.path().c_str(), 0755), 0);
  const fs::path grep = directory.path() / "grep";
  ASSERT_TRUE(fs::copy_file("/bin/grep", grep));
  if (!give_capabilities(grep)) GTEST_SKIP() << "files cannot have capabilities here";
  EXPECT_EQ(capabilities_of(grep), kNoCapabilities);
}

TEST(LandlockTest, AKernelThatCannotHoldItIsRefused) {
  EXPECT_TRUE(check_landlock(3));
  EXPECT_TRUE(check_landlock(7));
  const auto message = [](long abi) {
    const auto checked = check_landlock(abi);
    if (checked) return std::string("it will do");
    EXPECT_EQ(checked.error().reason, Reason::kIsolationUnavailable);
    return checked.error().message.substr(0, checked.error().message.rfind(": "));
  };
  const std::string what = "`sandbox.write_paths` cannot be enforced here: ";
  EXPECT_EQ(message(2), what +
                            "the kernel's Landlock (ABI 2) does not keep a program from emptying "
                            "files; that takes ABI 3");
  EXPECT_EQ(message(-ENOSYS),
            what + "the kernel offers no Landlock: Function not implemented (ENOSYS)");
  EXPECT_EQ(message(-EOPNOTSUPP), what + "Landlock is not among the security modules of this boot");
  EXPECT_NE(check_landlock(-ENOSYS).error().remedy.find("Linux 6.2"), std::string::npos);
}

}  // namespace
}  // namespace plugind::platform
