#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client-lib/src/wakeup.h"

namespace plugind::client {
namespace {

int fd_of(std::intptr_t handle) { return static_cast<int>(handle); }

}  // namespace

// A pair of sockets, because MSG_NOSIGNAL and MSG_DONTWAIT work on them alone, and every system has
// them.
bool Wakeup::open() {
  if (is_open()) return true;
  int fds[2];
#if defined(SOCK_CLOEXEC)
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return false;
#else
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0) return false;
  for (int fd : fds) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
#if defined(SO_NOSIGPIPE)
  const int on = 1;
  ::setsockopt(fds[1], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
#endif
  receiver_ = fds[0];
  sender_ = fds[1];
  return true;
}

void Wakeup::close() {
  if (!is_open()) return;
  ::close(fd_of(receiver_));
  ::close(fd_of(sender_));
  receiver_ = sender_ = -1;
}

void Wakeup::set() {
#if defined(MSG_NOSIGNAL)
  constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
#else
  constexpr int kFlags = MSG_DONTWAIT;
#endif
  // When its buffer is full, it is set already.
  (void)::send(fd_of(sender_), "", 1, kFlags);
}

void Wakeup::clear() {
  char bytes[64];
  while (::recv(fd_of(receiver_), bytes, sizeof(bytes), MSG_DONTWAIT) == sizeof(bytes)) {
  }
}

}  // namespace plugind::client
