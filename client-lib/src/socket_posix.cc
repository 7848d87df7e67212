#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "client-lib/src/socket.h"

namespace plugind::client {
namespace {

constexpr std::size_t kMaxSlices = 64;

#if defined(MSG_NOSIGNAL)
constexpr int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
#else
constexpr int kSendFlags = MSG_DONTWAIT;  // SO_NOSIGPIPE is set instead.
#endif

int fd_of(std::intptr_t handle) { return static_cast<int>(handle); }

timeval to_timeval(Time time) {
  timeval result{};
  result.tv_sec = time / (1'000 * kMillisecond);
  result.tv_usec = static_cast<suseconds_t>(time % (1'000 * kMillisecond) / 1'000);
  if (result.tv_sec == 0 && result.tv_usec == 0) result.tv_usec = 1;  // Zero would mean no bound.
  return result;
}

int open_socket(int family) {
#if defined(SOCK_CLOEXEC)
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
#else
  const int fd = ::socket(family, SOCK_STREAM, 0);
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
#if defined(SO_NOSIGPIPE)
  const int on = 1;
  if (fd >= 0) ::setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
  return fd;
}

bool set_non_blocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

int connect_unix(int fd, const Address& address) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  static_assert(sizeof(name.sun_path) <= sizeof(address.path));
  if (std::strlen(address.path) >= sizeof(name.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(name.sun_path, address.path, sizeof(name.sun_path));
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name));
}

int connect_tcp(int fd, const Address& address) {
  if (address.kind == Address::Kind::kIpv4) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(address.port);
    std::memcpy(&name.sin_addr, address.ip, sizeof(name.sin_addr));
    return ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name));
  }
  sockaddr_in6 name{};
  name.sin6_family = AF_INET6;
  name.sin6_port = htons(address.port);
  std::memcpy(&name.sin6_addr, address.ip, sizeof(name.sin6_addr));
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name));
}

int family_of(const Address& address) {
  switch (address.kind) {
    case Address::Kind::kUnix:
      return AF_UNIX;
    case Address::Kind::kIpv4:
      return AF_INET;
    case Address::Kind::kIpv6:
      return AF_INET6;
  }
  return AF_UNSPEC;
}

}  // namespace

Socket::Socket(Socket&& other) noexcept
    : handle_(other.handle_), is_connecting_(other.is_connecting_), error_(other.error_) {
  other.handle_ = -1;
}

Socket::~Socket() { close(); }

void Socket::close() {
  if (handle_ >= 0) ::close(fd_of(handle_));
  handle_ = -1;
}

ConnectResult Socket::judge(int error) {
  error_ = error;
  switch (error) {
    case 0:
    case EISCONN:
      break;
    case ENOENT:
    case ECONNREFUSED:
    case ENOTDIR:
      return ConnectResult::kNotThere;
    case EACCES:
    case EPERM:
      return ConnectResult::kNotPermitted;
    case EAGAIN:  // A Unix socket whose queue of connections is full.
    case EINTR:
      return ConnectResult::kNotYet;
    default:
      return ConnectResult::kFailed;
  }
  is_connecting_ = false;
  return ConnectResult::kConnected;
}

ConnectResult Socket::start(const Address& address, Time deadline) {
  if (address.kind == Address::Kind::kUnix) {
    // A full queue cannot be polled for; a bounded send timeout bounds the wait in connect().
    const timeval timeout = to_timeval(deadline - now());
    ::setsockopt(fd_of(handle_), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    return judge(connect_unix(fd_of(handle_), address) == 0 ? 0 : errno);
  }
  const int on = 1;
  ::setsockopt(fd_of(handle_), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (!set_non_blocking(fd_of(handle_))) return judge(errno);
  if (connect_tcp(fd_of(handle_), address) == 0) return judge(0);
  if (errno != EINPROGRESS && errno != EINTR) return judge(errno);
  is_connecting_ = true;
  return ConnectResult::kNotYet;
}

ConnectResult Socket::connect(const Address& address, Time deadline) {
  if (handle_ < 0) {
    handle_ = open_socket(family_of(address));
    if (handle_ < 0) {
      error_ = errno;
      return ConnectResult::kFailed;
    }
  }
  if (!is_connecting_) {
    const ConnectResult result = start(address, deadline);
    if (!is_connecting_) return result;
  }
  pollfd entry{fd_of(handle_), POLLOUT, 0};
  const Time left = deadline - now();
  const int ready = ::poll(&entry, 1, left <= 0 ? 0 : static_cast<int>(left / kMillisecond) + 1);
  if (ready <= 0) return ConnectResult::kNotYet;
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(fd_of(handle_), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  return judge(error);
}

std::int64_t Socket::send(const wire::Slice* slices, std::size_t count) {
  iovec vectors[kMaxSlices];
  if (count > kMaxSlices) count = kMaxSlices;
  for (std::size_t i = 0; i < count; ++i) {
    vectors[i] = {const_cast<std::uint8_t*>(slices[i].data), slices[i].size};
  }
  while (true) {
    ssize_t sent = 0;
    if (count == 1) {
      sent = ::send(fd_of(handle_), vectors[0].iov_base, vectors[0].iov_len, kSendFlags);
    } else {
      msghdr message{};
      message.msg_iov = vectors;
      message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
      sent = ::sendmsg(fd_of(handle_), &message, kSendFlags);
    }
    if (sent >= 0) return sent;
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return 0;
    error_ = errno;
    return -1;
  }
}

Socket::Received Socket::receive(std::uint8_t* to, std::size_t size) {
  const ssize_t received = ::recv(fd_of(handle_), to, size, MSG_DONTWAIT);
  if (received > 0) return {Received::State::kData, static_cast<std::size_t>(received)};
  if (received < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) {
    return {Received::State::kNothing, 0};
  }
  return {Received::State::kClosed, 0};
}

void Socket::wait(bool readable, bool writable, std::intptr_t wakeup, Time deadline) {
  pollfd entries[2] = {
      {fd_of(handle_), static_cast<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0)), 0},
      {fd_of(wakeup), POLLIN, 0}};
  const nfds_t count = wakeup >= 0 ? 2 : 1;
  Time left = deadline == kNever ? 0 : deadline - now();
  if (left < 0) left = 0;
#if defined(__linux__)
  constexpr Time kSecond = 1'000 * kMillisecond;
  const timespec timeout{left / kSecond, static_cast<long>(left % kSecond)};
  ::ppoll(entries, count, deadline == kNever ? nullptr : &timeout, nullptr);
#else
  constexpr Time kMost = 1 << 30;
  const Time milliseconds = (left + kMillisecond - 1) / kMillisecond;
  const int timeout = static_cast<int>(milliseconds < kMost ? milliseconds : kMost);
  ::poll(entries, count, deadline == kNever ? -1 : timeout);
#endif
}

void Socket::shutdown() { ::shutdown(fd_of(handle_), SHUT_RDWR); }

}  // namespace plugind::client
