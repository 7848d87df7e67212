#include "daemon/platform/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "test_support.h"

namespace plugind::platform {
namespace {

/// The service manager's end.
class Manager {
 public:
  explicit Manager(const std::string& address) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address.data(), address.size());
    if (address.front() == '@') name.sun_path[0] = '\0';
    fd_ = UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&name), size), 0);
    ::setenv("NOTIFY_SOCKET", address.c_str(), 1);
  }
  std::string receive() const {
    char text[512];
    const ssize_t n = ::recv(fd_.get(), text, sizeof(text), 0);
    return n > 0 ? std::string(text, static_cast<std::size_t>(n)) : "";
  }

 private:
  UniqueFd fd_;
};

class ServiceNotifyTest : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }
  static void clear() {
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }
  TemporaryDirectory directory_;
};

TEST_F(ServiceNotifyTest, SpeaksTheProtocol) {
  const Manager manager(directory_.path() / "notify");
  auto notifier = ServiceNotifier::from_environment();
  EXPECT_TRUE(notifier.active());
  notifier.ready();
  EXPECT_EQ(manager.receive(), "READY=1");
  notifier.stopping();
  EXPECT_EQ(manager.receive(), "STOPPING=1");
  notifier.status("two\nlines");
  EXPECT_EQ(manager.receive(), "STATUS=two lines");
  notifier.watchdog();
  EXPECT_EQ(manager.receive(), "WATCHDOG=1");
  timespec before{};
  ::clock_gettime(CLOCK_MONOTONIC, &before);
  notifier.reloading();
  const std::string reloading = manager.receive();
  const std::string start = "RELOADING=1\nMONOTONIC_USEC=";
  ASSERT_TRUE(reloading.starts_with(start)) << reloading;
  const auto microseconds = std::stoull(reloading.substr(start.size()));
  const auto earliest = static_cast<unsigned long long>(before.tv_sec) * 1'000'000;
  EXPECT_GE(microseconds, earliest);
  EXPECT_LT(microseconds, earliest + 60'000'000);
}

TEST_F(ServiceNotifyTest, AbstractSocket) {
  const Manager manager("@plugind-test-" + std::to_string(::getpid()));
  auto notifier = ServiceNotifier::from_environment();
  notifier.ready();
  EXPECT_EQ(manager.receive(), "READY=1");
}

TEST_F(ServiceNotifyTest, PluginsDoNotInheritIt) {
  const Manager manager(directory_.path() / "notify");
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  const auto notifier = ServiceNotifier::from_environment();
  EXPECT_EQ(::getenv("NOTIFY_SOCKET"), nullptr);
  EXPECT_EQ(::getenv("WATCHDOG_USEC"), nullptr);
  EXPECT_EQ(::getenv("WATCHDOG_PID"), nullptr);
  EXPECT_EQ(notifier.watchdog_interval(), std::chrono::milliseconds(1'500));
}

TEST_F(ServiceNotifyTest, TheWatchdogMayBeMeantForSomebodyElse) {
  const Manager manager(directory_.path() / "notify");
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  if (::getppid() == 1) GTEST_SKIP() << "the parent is process 1";
  EXPECT_FALSE(ServiceNotifier::from_environment().watchdog_interval());
}

TEST_F(ServiceNotifyTest, NobodyAsked) {
  auto notifier = ServiceNotifier::from_environment();
  EXPECT_FALSE(notifier.active());
  notifier.ready();
  ::setenv("NOTIFY_SOCKET", "relative", 1);
  EXPECT_FALSE(ServiceNotifier::from_environment().active());
  ::setenv("NOTIFY_SOCKET", (directory_.path() / "gone").c_str(), 1);
  auto unanswered = ServiceNotifier::from_environment();
  unanswered.ready();  // nobody there: no error, no signal
}

}  // namespace
}  // namespace plugind::platform
