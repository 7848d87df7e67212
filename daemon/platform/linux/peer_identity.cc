#include "daemon/platform/peer_identity.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "daemon/platform/linux/proc_fs.h"
#include "daemon/platform/posix/errno_error.h"
#include "daemon/platform/posix/unique_fd.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59  // Linux 4.13
#endif
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77  // Linux 6.5
#endif

namespace plugind::platform {
namespace {

enum class Life { kLiving, kEnded, kUnknown };

/// Whether the very process that connected still lives.
Life peer_life(int socket) {
  int fd = -1;
  socklen_t size = sizeof(fd);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) != 0) {
    // Before 6.5 there is no such option; later it fails if the peer was reaped.
    return errno == ENOPROTOOPT ? Life::kUnknown : Life::kEnded;
  }
  const UniqueFd process(fd);
  pollfd state{process.get(), POLLIN, 0};
  return ::poll(&state, 1, 0) == 0 ? Life::kLiving : Life::kEnded;
}

/// The supplementary groups of the peer.
std::expected<std::vector<std::uint32_t>, int> peer_groups(int socket) {
  std::vector<std::uint32_t> groups(32);
  while (true) {
    static_assert(sizeof(gid_t) == sizeof(std::uint32_t));
    socklen_t size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    const int failed = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
    const int error = errno;
    const std::size_t count = size / sizeof(gid_t);
    if (failed == 0) {
      groups.resize(count);
      return groups;
    }
    // The kernel says how many there are.
    if (error != ERANGE || count <= groups.size()) return std::unexpected(error);
    groups.resize(count);
  }
}

HostKey host_of(int socket, pid_t pid) {
  // 0: a process of another pid namespace, which has no pid here.
  if (pid <= 0) return HostKey::unique();
  const auto info = process_info(pid);
  if (!info || !info->living) return HostKey::unique();
  // If the peer lives now, it lived when its start time was read, and the pid was its own.
  if (peer_life(socket) == Life::kEnded) return HostKey::unique();
  return HostKey::of_process(pid, info->id.start_time);
}

}  // namespace

HostKey HostKey::unique() {
  // On the loop only, like everything here.
  static std::uint64_t next = 1;
  return {0, next++};
}

HostKey HostKey::of_process(std::int64_t pid, std::uint64_t start_time) {
  return {pid, start_time};
}

std::size_t HostKey::hash() const {
  const std::size_t first = std::hash<std::int64_t>()(pid_);
  return first ^ (std::hash<std::uint64_t>()(value_) + 0x9e3779b97f4a7c15ULL + (first << 6));
}

std::string HostKey::describe() const {
  return pid_ != 0 ? "pid " + std::to_string(pid_) : "connection " + std::to_string(value_);
}

std::expected<PeerIdentity, Error> peer_identity(int socket) {
  int domain = 0;
  socklen_t size = sizeof(domain);
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) {
    return system_error("cannot tell who is at the other end of a socket", errno);
  }
  if (domain != AF_UNIX) return PeerIdentity{.host = HostKey::unique()};
  ucred peer{};
  size = sizeof(peer);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return system_error("cannot tell who is at the other end of a socket", errno);
  }
  auto groups = peer_groups(socket);
  if (!groups) {
    return system_error("cannot tell the groups of who is at the other end of a socket",
                        groups.error());
  }
  return PeerIdentity{.known = true,
                      .uid = peer.uid,
                      .gid = peer.gid,
                      .groups = std::move(*groups),
                      .pid = peer.pid,
                      .host = host_of(socket, peer.pid)};
}

std::string process_name(std::int64_t pid) {
  const UniqueFd file(
      ::open(("/proc/" + std::to_string(pid) + "/comm").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return "";
  char text[64];
  const ssize_t n = ::read(file.get(), text, sizeof(text));
  if (n <= 0) return "";
  std::string name(text, static_cast<std::size_t>(n));
  if (name.ends_with('\n')) name.pop_back();
  for (char& c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return name;
}

}  // namespace plugind::platform
