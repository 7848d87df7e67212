#include "daemon/platform/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

namespace plugind::platform {
namespace {

std::string take(const char* name) {
  const char* value = ::getenv(name);
  std::string result = value ? value : "";
  ::unsetenv(name);
  return result;
}

std::uint64_t number(const std::string& text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  return parsed.ptr == text.data() + text.size() ? value : 0;
}

}  // namespace

ServiceNotifier ServiceNotifier::from_environment() {
  ServiceNotifier notifier;
  notifier.address_ = take("NOTIFY_SOCKET");
  const std::uint64_t watchdog = number(take("WATCHDOG_USEC"));
  // Names the process that systemd started.  With a guardian that is our parent.
  const std::uint64_t watched = number(take("WATCHDOG_PID"));
  std::string& address = notifier.address_;
  if (address.size() < 2 || address.size() >= sizeof(sockaddr_un::sun_path) ||
      (address.front() != '/' && address.front() != '@')) {
    return notifier;
  }
  if (address.front() == '@') address.front() = '\0';
  notifier.socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto self = static_cast<std::uint64_t>(::getpid());
  const auto parent = static_cast<std::uint64_t>(::getppid());
  if (watchdog > 0 && (watched == 0 || watched == self || watched == parent)) {
    notifier.watchdog_interval_ = std::chrono::microseconds(watchdog / 2);
  }
  return notifier;
}

ServiceNotifier::ServiceNotifier(ServiceNotifier&& other) noexcept { *this = std::move(other); }

ServiceNotifier& ServiceNotifier::operator=(ServiceNotifier&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(address_, other.address_);
  std::swap(watchdog_interval_, other.watchdog_interval_);
  return *this;
}

ServiceNotifier::~ServiceNotifier() {
  if (socket_ != -1) ::close(socket_);
}

void ServiceNotifier::send(std::string_view message) {
  if (socket_ == -1) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, address_.data(), address_.size());
  // The exact length: trailing NULs would be part of an abstract name.
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  ::sendto(socket_, message.data(), message.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address), size);
}

void ServiceNotifier::ready() { send("READY=1"); }

void ServiceNotifier::reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                            static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
  send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
}

void ServiceNotifier::stopping() { send("STOPPING=1"); }

void ServiceNotifier::status(std::string_view line) {
  std::string message = "STATUS=" + std::string(line);
  std::ranges::replace(message, '\n', ' ');
  send(message);
}

void ServiceNotifier::watchdog() { send("WATCHDOG=1"); }

}  // namespace plugind::platform
