#include "daemon/platform/peer_identity.h"

#include <arpa/inet.h>
#include <grp.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <unordered_set>

#include "daemon/platform/local_socket.h"
#include "daemon/platform/posix/unix_listener.h"
#include "test_support.h"

namespace plugind::platform {
namespace {

class PeerIdentityTest : public testing::Test {
 protected:
  void SetUp() override {
    auto listener = LocalSocket::listen(directory_.path() / "front.sock");
    ASSERT_TRUE(listener) << listener.error().message;
    listener_ = std::make_unique<LocalSocket>(std::move(*listener));
  }

  UniqueFd connect() const {
    const auto address = unix_address(listener_->path());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)),
              0);
    return fd;
  }
  UniqueFd accept() const {
    pollfd ready{listener_->native_handle(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, 10'000), 1);
    return UniqueFd(::accept4(listener_->native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
  }

  TemporaryDirectory directory_;
  std::unique_ptr<LocalSocket> listener_;
};

TEST_F(PeerIdentityTest, ConnectionsOfOneProcessAreOneHost) {
  const UniqueFd first = connect(), second = connect();
  const UniqueFd one = accept(), two = accept();
  const auto a = peer_identity(one.get()), b = peer_identity(two.get());
  ASSERT_TRUE(a && b);
  EXPECT_TRUE(a->known);
  EXPECT_EQ(a->uid, ::getuid());
  EXPECT_EQ(a->gid, ::getgid());
  EXPECT_EQ(a->pid, ::getpid());
  EXPECT_EQ(a->host, b->host);
  EXPECT_EQ(a->host.hash(), b->host.hash());
  EXPECT_EQ(a->host.describe(), "pid " + std::to_string(::getpid()));
}

TEST_F(PeerIdentityTest, AnotherProcessIsAnotherHost) {
  const UniqueFd ours = connect();
  const UniqueFd one = accept();
  const pid_t child = ::fork();
  if (child == 0) {
    const UniqueFd theirs = connect();
    while (true) ::pause();
  }
  const UniqueFd two = accept();
  const auto a = peer_identity(one.get()), b = peer_identity(two.get());
  ASSERT_TRUE(a && b);
  EXPECT_EQ(b->pid, child);
  EXPECT_NE(a->host, b->host);
  const auto again = peer_identity(two.get());
  ASSERT_TRUE(again);
  EXPECT_EQ(b->host, again->host);

  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  // Whoever gets that pid next is somebody else.
  const auto late = peer_identity(two.get());
  ASSERT_TRUE(late);
  EXPECT_EQ(late->pid, child);
  EXPECT_NE(late->host, b->host);
}

TEST_F(PeerIdentityTest, TheGroupsAreThoseOfTheProcess) {
  std::vector<gid_t> own(static_cast<std::size_t>(::getgroups(0, nullptr)));
  ASSERT_EQ(::getgroups(static_cast<int>(own.size()), own.data()), static_cast<int>(own.size()));
  const UniqueFd ours = connect();
  const UniqueFd one = accept();
  const auto self = peer_identity(one.get());
  ASSERT_TRUE(self) << self.error().message;
  EXPECT_EQ(self->groups, (std::vector<std::uint32_t>(own.begin(), own.end())));
}

TEST_F(PeerIdentityTest, AnotherUserIsKnownWithAllGroups) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make a process of another user";
  std::vector<gid_t> many;  // More than fit at the first try.
  for (gid_t group = 61'100; group < 61'300; ++group) many.push_back(group);
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0711), 0);
  ASSERT_EQ(::chmod(listener_->path().c_str(), 0666), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(many.size(), many.data()) != 0 || ::setgid(61'001) != 0 ||
        ::setuid(61'002) != 0) {
      ::_exit(1);
    }
    const UniqueFd theirs = connect();
    while (true) ::pause();
  }
  const UniqueFd one = accept();
  const auto peer = peer_identity(one.get());
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(peer) << peer.error().message;
  EXPECT_EQ(peer->uid, 61'002u);
  EXPECT_EQ(peer->gid, 61'001u);
  EXPECT_EQ(peer->groups, (std::vector<std::uint32_t>(many.begin(), many.end())));
  // What it was when it connected, also when it is gone.
  const auto late = peer_identity(one.get());
  ASSERT_TRUE(late) << late.error().message;
  EXPECT_EQ(late->uid, 61'002u);
  EXPECT_EQ(late->groups.size(), many.size());
}

TEST_F(PeerIdentityTest, AProcessOfTheSamePidIsAnotherHost) {
  EXPECT_NE(HostKey::of_process(100, 1), HostKey::of_process(100, 2));
  EXPECT_EQ(HostKey::of_process(100, 1), HostKey::of_process(100, 1));
  EXPECT_NE(HostKey::unique(), HostKey::unique());
  std::unordered_set<HostKey> hosts{HostKey::of_process(100, 1), HostKey::of_process(100, 1),
                                    HostKey::of_process(100, 2)};
  EXPECT_EQ(hosts.size(), 2u);
}

TEST_F(PeerIdentityTest, EachTcpConnectionIsAHost) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener.get(), 2), 0);
  ASSERT_EQ(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const auto connect = [&] {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    return fd;
  };
  const UniqueFd first = connect(), second = connect();
  const UniqueFd one(::accept(listener.get(), nullptr, nullptr));
  const UniqueFd two(::accept(listener.get(), nullptr, nullptr));
  const auto a = peer_identity(one.get()), b = peer_identity(two.get());
  ASSERT_TRUE(a && b);
  EXPECT_FALSE(a->known);
  EXPECT_NE(a->host, b->host);
}

TEST_F(PeerIdentityTest, NotASocket) {
  const auto identity = peer_identity(-1);
  ASSERT_FALSE(identity);
  EXPECT_EQ(identity.error().reason, Reason::kSystem);
}

TEST(ProcessName, IsReadableInALog) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_NAME, "bad\nname");
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  ::waitpid(child, nullptr, WUNTRACED);
  EXPECT_EQ(process_name(child), "bad?name");
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(process_name(child), "");
}

}  // namespace
}  // namespace plugind::platform
