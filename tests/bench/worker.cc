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

/// The logarithm to the base 1.01, rounded down.
int bucket(Clock::duration latency) {
  const double nanoseconds = std::max(1.0, microseconds(latency) * 1000);
  return static_cast<int>(std::log(nanoseconds) / std::log(1.01));
}

void print(const Load& load, Measurement measurement) {
  auto& latencies = measurement.latencies;
  std::sort(latencies.begin(), latencies.end());
  const double seconds = microseconds(measurement.elapsed) / 1e6;
  std::printf("%.2f", static_cast<double>(load.count) / seconds);
  if (latencies.empty()) {
    std::printf(" - -");
  } else {
    std::printf(" %.2f %.2f", percentile(latencies, 0.50), percentile(latencies, 0.99));
  }
  for (auto it = latencies.begin(); it != latencies.end();) {
    const int mine = bucket(*it);
    const auto end =
        std::find_if(it, latencies.end(), [mine](auto other) { return bucket(other) != mine; });
    std::printf(" %d:%td", mine, end - it);
    it = end;
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

std::size_t share_of(std::size_t count, std::size_t lanes, std::size_t index) {
  return count / lanes + (index < count % lanes ? 1 : 0);
}

Measurement from_threads(const Load& load, const std::function<void()>& call) {
  const std::size_t threads = std::min(load.in_flight, load.count);
  std::vector<std::vector<Clock::duration>> latencies(threads);
  // The clock starts when every thread stands ready.
  std::barrier start(static_cast<std::ptrdiff_t>(threads) + 1);
  std::vector<std::jthread> workers;
  for (std::size_t i = 0; i < threads; ++i) {
    const std::size_t share = share_of(load.count, threads, i);
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
}

int serve(const Run& run) {
  std::puts("ready");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string command;
    Load load;
    words >> command >> load.kind >> load.size >> load.count >> load.in_flight;
    if (command == "quit") return 0;
    if (command != "run" || !words || load.count == 0 || load.in_flight == 0) {
      fail("cannot understand the command \"" + line + "\"");
    }
    print(load, run(load));
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
