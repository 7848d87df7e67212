// The least that can stand between a host and a plugin: bytes are passed on as they come, and
// nobody looks at them.
//
// usage: bench_relay --listen /PATH --to /PATH
//
// Each connection has one of its own to the plugin, and a thread for each direction, which costs
// two system calls for what it passes on: a read and a write.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include "tests/bench/worker.h"

namespace {

using plugind::bench::fail;

// As large as what a Unix socket holds by default, so that one read takes it all.
constexpr std::size_t kBufferSize = 256 << 10;

[[noreturn]] void fail_at(const std::string& what) { fail(what + ": " + std::strerror(errno)); }

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    fail("a socket's path has 1 to 107 characters, not " + std::to_string(path.size()));
  }
  path.copy(address.sun_path, path.size());
  return address;
}

int make_socket() {
  const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) fail_at("socket");
  return made;
}

int listen_on(const std::string& path) {
  const sockaddr_un address = address_of(path);
  const int listener = make_socket();
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, SOMAXCONN) != 0) {
    fail_at(path);
  }
  return listener;
}

int connect_to(const std::string& path) {
  const sockaddr_un address = address_of(path);
  const int made = make_socket();
  if (connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail_at(path);
  }
  return made;
}

/// Until either side ends; both are told.
void pass_on(int from, int to) {
  const auto buffer = std::make_unique<std::array<char, kBufferSize>>();
  for (;;) {
    const ssize_t size = read(from, buffer->data(), buffer->size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    for (ssize_t done = 0; done < size;) {
      const ssize_t written = send(to, buffer->data() + done, size - done, MSG_NOSIGNAL);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        shutdown(from, SHUT_RDWR);
        return;
      }
      done += written;
    }
  }
  shutdown(to, SHUT_WR);
}

void relay(int host, int plugin) {
  std::thread back(pass_on, plugin, host);
  pass_on(host, plugin);
  back.join();
  close(host);
  close(plugin);
}

}  // namespace

int main(int count, char** values) {
  const std::string to = plugind::bench::argument(count, values, "to");
  const int listener = listen_on(plugind::bench::argument(count, values, "listen"));
  for (;;) {
    const int host = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (host < 0 && errno == EINTR) continue;
    if (host < 0) fail_at("accept");
    std::thread(relay, host, connect_to(to)).detach();
  }
}
