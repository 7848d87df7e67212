// What the benchmark's workers have in common.
//
// A worker is a long-lived process.  It prints "ready", then reads commands from stdin, one a line:
//   run KIND SIZE COUNT IN_FLIGHT   makes COUNT calls with SIZE bytes in each, or sends so many
//                                   messages, IN_FLIGHT calls or streams at a time, and prints
//                                   "PER_SECOND P50_US P99_US BUCKET:COUNT..."
//   quit                            ends it; so does the end of stdin
// KIND is "unary" or what else the worker can.  For streams there is no latency: P50_US and P99_US
// are "-".  A bucket B:N says that N calls took from 1.01^B to 1.01^(B+1) nanoseconds, so that
// those of many runs can be put together. A call that fails ends the worker with a message on
// stderr and exit code 1.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace plugind::bench {

using Clock = std::chrono::steady_clock;

/// What a command asks for.
struct Load {
  std::string kind;
  std::size_t size = 0;       ///< Bytes that a call or message carries.
  std::size_t count = 0;      ///< Calls, or messages of all streams together.
  std::size_t in_flight = 0;  ///< Calls or streams under way at a time.
};

struct Measurement {
  std::vector<Clock::duration> latencies;  ///< One per call, in any order; none for streams.
  Clock::duration elapsed{};               ///< From the first call's start to the last one's end.
};

using Run = std::function<Measurement(const Load& load)>;

/// Makes blocking calls from as many threads as calls are in flight.  `call` is used from all of
/// them.
Measurement from_threads(const Load& load, const std::function<void()>& call);

/// What the one of `lanes` lanes with this index has to do of `count`.
std::size_t share_of(std::size_t count, std::size_t lanes, std::size_t index);

/// Says "ready" and answers commands until told to quit.  Returns the program's exit code.
int serve(const Run& run);

/// The value of `--name VALUE` among the program's arguments, or `fallback`.
std::string argument(int count, char** values, const std::string& name,
                     const std::string& fallback = "");

/// Prints the message and ends the worker.
[[noreturn]] void fail(const std::string& message);

}  // namespace plugind::bench
