// Forwards calls between hosts and plugins that are played in the same process, so that callgrind
// can count what the daemon's part of it takes: everything below daemon_share(), and nothing else.
//
//   forward_instructions LOAD CALLS      prints the daemon's part of allocations, and of reads and
//                                        writes of sockets
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/instructions/daemon_share.h"
#include "tests/instructions/forward_bench.h"

namespace plugind::forward::testing {
namespace {

void run(std::string_view load, std::uint64_t calls) {
  if (load == "unary-100") return ForwardBench({}).unary(calls, {.by_service = true});
  if (load == "unary-100-32") {
    return ForwardBench({}).unary(calls, {.in_flight = 32, .by_service = true});
  }
  if (load == "unary-64k") {
    return ForwardBench({}).unary(calls, {.size = 64 << 10, .by_service = true});
  }
  if (load == "stream-100") return ForwardBench({}).streams(calls, 100);
  // As many hosts as loops, so that each loop has a connection, with a call in flight on each.
  for (const std::size_t lanes : {2, 4}) {
    if (load == "lanes-" + std::to_string(lanes)) {
      return ForwardBench({.hosts = lanes, .lanes = lanes})
          .unary(calls, {.in_flight = lanes, .spreads = true, .by_service = true});
    }
  }
  const Shape many_hosts{.hosts = 1'000};
  if (load == "hosts-one") return ForwardBench(many_hosts).unary(calls, {.by_service = true});
  if (load == "hosts-spread") {
    return ForwardBench(many_hosts).unary(calls, {.spreads = true, .by_service = true});
  }
  if (load == "hosts-spread-32") {
    return ForwardBench(many_hosts)
        .unary(calls, {.in_flight = 32, .spreads = true, .by_service = true});
  }
  const Shape many_plugins{.plugins = 100};
  if (load == "plugins-one") return ForwardBench(many_plugins).unary(calls, {});
  if (load == "plugins-spread") {
    return ForwardBench(many_plugins).unary(calls, {.spreads = true});
  }
  if (load == "plugins-spread-32") {
    return ForwardBench(many_plugins).unary(calls, {.in_flight = 32, .spreads = true});
  }
  if (load == "plugins-service") {
    return ForwardBench(many_plugins).unary(calls, {.by_service = true});
  }
  // Connections of hosts, and plugins that run, so many of them; their memory is looked at then.
  if (load == "idle-hosts" || load == "idle-plugins") {
    ForwardBench bench(load == "idle-hosts" ? Shape{.hosts = calls, .plugins = 1}
                                            : Shape{.hosts = 1, .plugins = calls});
    bench.rest();
    bench.leave_memory();
  }
  fail("there is no load '" + std::string(load) + "'");
}

/// Both ends of every connection are in this process.
void raise_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2'200) fail("there may not be 2,200 open files (ulimit -Hn)");
}

}  // namespace
}  // namespace plugind::forward::testing

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: forward_instructions LOAD CALLS\n");
    return 2;
  }
  plugind::forward::testing::raise_descriptors();
  plugind::forward::testing::run(argv[1], std::strtoull(argv[2], nullptr, 10));
  std::printf("%llu %llu\n", static_cast<unsigned long long>(daemon_share_so_far.allocations),
              static_cast<unsigned long long>(daemon_share_so_far.transfers));
  return 0;
}
