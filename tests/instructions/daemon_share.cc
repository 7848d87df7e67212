#include "tests/instructions/daemon_share.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>

DaemonShare daemon_share_so_far;

namespace {
bool counts = false;

void count(std::uint64_t& what) {
  if (counts) ++what;
}
}  // namespace

extern "C" {
// glibc's allocator under its other names.
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void __libc_free(void* memory);

void* malloc(std::size_t size) noexcept {
  count(daemon_share_so_far.allocations);
  return __libc_malloc(size);
}
void* calloc(std::size_t number, std::size_t size) noexcept {
  count(daemon_share_so_far.allocations);
  return __libc_calloc(number, size);
}
void* realloc(void* memory, std::size_t size) noexcept {
  count(daemon_share_so_far.allocations);
  return __libc_realloc(memory, size);
}
void free(void* memory) noexcept { __libc_free(memory); }

ssize_t recv(int socket, void* to, std::size_t size, int flags) {
  count(daemon_share_so_far.transfers);
  return ::syscall(SYS_recvfrom, socket, to, size, flags, nullptr, nullptr);
}
ssize_t recvmsg(int socket, msghdr* message, int flags) {
  count(daemon_share_so_far.transfers);
  return ::syscall(SYS_recvmsg, socket, message, flags);
}
ssize_t send(int socket, const void* from, std::size_t size, int flags) {
  count(daemon_share_so_far.transfers);
  return ::syscall(SYS_sendto, socket, from, size, flags, nullptr, 0);
}
ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  count(daemon_share_so_far.transfers);
  return ::syscall(SYS_sendmsg, socket, message, flags);
}

[[gnu::noipa]] void daemon_share(boost::asio::io_context& loop) {
  counts = true;
  loop.restart();
  loop.poll();
  counts = false;
}
}
