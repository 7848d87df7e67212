#include "tests/bench/worker.h"

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <sstream>
#include <thread>

namespace plugind::bench {
namespace {

double microseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

/// The smallest latency that at least `share` of the calls did not exceed.
double percentile(const std::vector<Clock::duration>& sorted, double share) {
  const auto count = static_cast<double>(sorted.size());
  const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(share * count)));
  return microseconds(sorted[std::min(rank, sorted.size()) - 1]);
}

void print(Measurement measurement) {
  auto& latencies = measurement.latencies;
  std::sort(latencies.begin(), latencies.end());
  const double seconds = microseconds(measurement.elapsed) / 1e6;
  std::printf("%.2f %.2f %.0f\n", percentile(latencies, 0.50), percentile(latencies, 0.99),
              static_cast<double>(latencies.size()) / seconds);
  std::fflush(stdout);
}

}  // namespace

Run from_threads(std::function<void()> call) {
  return [call = std::move(call)](std::size_t calls, std::size_t in_flight) {
    const std::size_t threads = std::min(in_flight, calls);
    std::vector<std::vector<Clock::duration>> latencies(threads);
    // The clock starts when every thread stands ready.
    std::barrier start(static_cast<std::ptrdiff_t>(threads) + 1);
    std::vector<std::jthread> workers;
    for (std::size_t i = 0; i < threads; ++i) {
      const std::size_t share = calls / threads + (i < calls % threads ? 1 : 0);
      latencies[i].reserve(share);
      workers.emplace_back([&call, &start, &mine = latencies[i], share] {
        start.arrive_and_wait();
        for (std::size_t done = 0; done < share; ++done) {
          const auto before = Clock::now();
          call();
          mine.push_back(Clock::now() - before);
        }
      });
    }
    start.arrive_and_wait();
    const auto before = Clock::now();
    workers.clear();  // joins
    Measurement measurement;
    measurement.elapsed = Clock::now() - before;
    for (const auto& mine : latencies) {
      measurement.latencies.insert(measurement.latencies.end(), mine.begin(), mine.end());
    }
    return measurement;
  };
}

int serve(const Run& run) {
  std::puts("ready");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    std::size_t calls = 0;
    std::size_t in_flight = 0;
    words >> command >> calls >> in_flight;
    if (command == "quit") return 0;
    if (command != "run" || !words || calls == 0 || in_flight == 0) {
      fail("cannot understand the command \"" + line + "\"");
    }
    print(run(calls, in_flight));
  }
  return 0;
}

std::string argument(int count, char** values, const std::string& name,
                     const std::string& fallback) {
  for (int i = 1; i + 1 < count; ++i) {
    if (values[i] == "--" + name) return values[i + 1];
  }
  return fallback;
}

void fail(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  // Other threads may be in the middle of a call.
  std::_Exit(1);
}

}  // namespace plugind::bench
