// The floor: messages echoed over Unix sockets with nothing around them.
//
// usage: bench_raw_socket --hops 1|2
//
// With two hops a relay process stands between, as plugind does: it waits for both sockets and
// copies what arrives.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>

#include "tests/bench/worker.h"

namespace {

using plugind::bench::Clock;
using plugind::bench::fail;
using plugind::bench::Load;
using plugind::bench::Measurement;

using Buffer = std::array<char, 64 << 10>;

/// What is under way at a time must fit into the sockets' buffers: everybody writes before they
/// read again.
constexpr std::size_t kMaximumUnderWay = 128 << 10;

/// Reads what is there; 0 at the end.
std::size_t read_some(int socket, Buffer& buffer) {
  ssize_t size = 0;
  do {
    size = read(socket, buffer.data(), buffer.size());
  } while (size < 0 && errno == EINTR);
  return size < 0 ? 0 : static_cast<std::size_t>(size);
}

bool write_all(int socket, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = write(socket, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

void echo(int socket) {
  Buffer buffer;
  while (const std::size_t size = read_some(socket, buffer)) {
    if (!write_all(socket, buffer.data(), size)) return;
  }
}

void relay(int downstream, int upstream) {
  Buffer buffer;
  std::array<pollfd, 2> sockets{{{downstream, POLLIN, 0}, {upstream, POLLIN, 0}}};
  for (;;) {
    if (poll(sockets.data(), sockets.size(), -1) < 0 && errno != EINTR) return;
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      if (sockets[i].revents == 0) continue;
      const std::size_t size = read_some(sockets[i].fd, buffer);
      if (size == 0 || !write_all(sockets[1 - i].fd, buffer.data(), size)) return;
    }
  }
}

std::array<int, 2> make_pair() {
  std::array<int, 2> sockets{};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()) != 0) {
    fail(std::string("socketpair: ") + std::strerror(errno));
  }
  return sockets;
}

/// Runs `body` in a process of its own, which ends when its sockets' other ends close; `closed` is
/// what it must not hold for that.
template <typename Body>
void in_child(std::initializer_list<int> closed, Body body) {
  const pid_t child = fork();
  if (child < 0) fail(std::string("fork: ") + std::strerror(errno));
  if (child > 0) return;
  for (const int socket : closed) close(socket);
  body();
  _exit(0);
}

Measurement run(int socket, const Load& load) {
  if (load.kind != "unary" || load.size * load.in_flight > kMaximumUnderWay) {
    fail("raw sockets echo unary calls, up to 128 KiB of them at a time");
  }
  const std::string message(load.size, 'x');
  Measurement measurement;
  measurement.latencies.reserve(load.count);
  std::deque<Clock::time_point> sent;
  std::size_t left = load.count;
  Buffer buffer;
  std::size_t received = 0;
  const auto send = [&](std::size_t count) {
    for (; count > 0 && left > 0; --count, --left) {
      sent.push_back(Clock::now());
      if (!write_all(socket, message.data(), message.size())) fail("the peer went away");
    }
  };
  const auto before = Clock::now();
  send(load.in_flight);
  while (measurement.latencies.size() < load.count) {
    const std::size_t size = read_some(socket, buffer);
    if (size == 0) fail("the peer went away");
    const auto now = Clock::now();
    received += size;
    std::size_t done = 0;
    for (; received >= load.size; received -= load.size, ++done) {
      measurement.latencies.push_back(now - sent.front());
      sent.pop_front();
    }
    send(done);
  }
  measurement.elapsed = Clock::now() - before;
  return measurement;
}

}  // namespace

int main(int count, char** values) {
  const auto host = make_pair();
  if (plugind::bench::argument(count, values, "hops", "1") == "1") {
    in_child({host[0]}, [&] { echo(host[1]); });
    close(host[1]);
  } else {
    const auto plugin = make_pair();
    in_child({host[0], host[1], plugin[0]}, [&] { echo(plugin[1]); });
    in_child({host[0], plugin[1]}, [&] { relay(host[1], plugin[0]); });
    for (const int socket : {host[1], plugin[0], plugin[1]}) close(socket);
  }
  return plugind::bench::serve([socket = host[0]](const Load& load) { return run(socket, load); });
}
