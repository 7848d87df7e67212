// What the benchmark's workers have in common.
//
// A worker is a long-lived process.  It prints "ready", then reads commands from stdin, one a line:
//   run CALLS IN_FLIGHT   makes that many calls and prints "P50_US P99_US CALLS_PER_SECOND"
//   quit                  ends it; so does the end of stdin
// A call that fails ends the worker with a message on stderr and exit code 1.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace plugind::bench {

using Clock = std::chrono::steady_clock;

/// The size of what a call carries.
inline constexpr std::size_t kPayloadSize = 100;

struct Measurement {
  std::vector<Clock::duration> latencies;  ///< One per call, in any order.
  Clock::duration elapsed{};               ///< From the first call's start to the last one's end.
};

/// Makes `calls` calls with `in_flight` of them under way at a time.
using Run = std::function<Measurement(std::size_t calls, std::size_t in_flight)>;

/// A Run that makes blocking calls from as many threads as calls are in flight.  `call` is used
/// from all of them.
Run from_threads(std::function<void()> call);

/// Says "ready" and answers commands until told to quit.  Returns the program's exit code.
int serve(const Run& run);

/// The value of `--name VALUE` among the program's arguments, or `fallback`.
std::string argument(int count, char** values, const std::string& name,
                     const std::string& fallback = "");

/// Prints the message and ends the worker.
[[noreturn]] void fail(const std::string& message);

}  // namespace plugind::bench
