// Unary calls by libplugind, through plugind.
//
// usage: bench_libplugind --address ADDRESS --plugin NAME --service kv|echo [--calls
// blocking|pending]
//
// Several calls in flight are made by as many threads (blocking, the default), or all by one thread
// that takes the answers as they come (pending).  One call in flight is pd_invoke either way.
#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugind/plugind.h"
#include "tests/bench/worker.h"

namespace {

using plugind::bench::argument;
using plugind::bench::Clock;
using plugind::bench::fail;
using plugind::bench::kPayloadSize;
using plugind::bench::Measurement;

using Reply = std::unique_ptr<pd_reply, decltype(&pd_reply_free)>;

/// What is called, and what becomes of the answers.
struct Load {
  pd_client* client;
  std::string plugin;
  const char* method;
  std::string request;
  std::function<void(const pd_reply*)> check;

  Reply invoke() const {
    pd_error* error = nullptr;
    Reply reply(
        pd_invoke(client, plugin.c_str(), method, request.data(), request.size(), nullptr, &error),
        pd_reply_free);
    if (!reply) fail(std::string(method) + ": " + pd_error_message(error));
    return reply;
  }

  void begin(std::uint64_t tag) const {
    pd_error* error = nullptr;
    if (pd_call_begin(client, plugin.c_str(), method, request.data(), request.size(), nullptr, tag,
                      &error) == nullptr) {
      fail(std::string(method) + ": " + pd_error_message(error));
    }
  }
};

/// All calls from the calling thread.  A call's tag is the number of its place among those in
/// flight.
Measurement run_pending(const Load& load, std::size_t calls, std::size_t in_flight) {
  Measurement measurement;
  measurement.latencies.reserve(calls);
  std::vector<Clock::time_point> begun(std::min(in_flight, calls));
  const auto before = Clock::now();
  std::size_t left = calls;
  const auto begin = [&](std::size_t place) {
    --left;
    begun[place] = Clock::now();
    load.begin(place);
  };
  for (std::size_t place = 0; place < begun.size(); ++place) begin(place);
  while (pd_call* call = pd_next(load.client, -1)) {
    pd_error* error = nullptr;
    const Reply reply(pd_call_wait(call, &error), pd_reply_free);
    if (!reply) fail(std::string(load.method) + ": " + pd_error_message(error));
    load.check(reply.get());
    const std::size_t place = pd_call_tag(call);
    pd_call_free(call);
    measurement.latencies.push_back(Clock::now() - begun[place]);
    if (left > 0) begin(place);
  }
  measurement.elapsed = Clock::now() - before;
  return measurement;
}

/// A protobuf field of a string or bytes shorter than 128.
std::string field(char number, const std::string& value) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(value.size())} + value;
}

}  // namespace

int main(int count, char** values) {
  pd_error* error = nullptr;
  pd_client* connected = pd_connect(argument(count, values, "address").c_str(), 0, &error);
  if (connected == nullptr) fail(pd_error_message(error));
  Load load{connected, argument(count, values, "plugin"), nullptr, {}, {}};
  const std::string payload(kPayloadSize, 'x');
  if (argument(count, values, "service") == "kv") {
    load.method = "/proto.KV/Put";
    load.request = field(1, "bench") + field(2, payload);
    load.invoke();
    load.method = "/proto.KV/Get";
    load.request = field(1, "bench");
    load.check = [](const pd_reply* reply) {
      if (pd_reply_size(reply) < kPayloadSize) {
        fail("kv answered something else than it was given");
      }
    };
  } else {
    load.method = "/echo.v1.Echo/Unary";
    load.request = field(1, payload);
    load.check = [&load](const pd_reply* reply) {
      if (load.request !=
          std::string_view(static_cast<const char*>(pd_reply_data(reply)), pd_reply_size(reply))) {
        fail("echo did not echo");
      }
    };
  }

  const auto blocking = plugind::bench::from_threads([&load] { load.check(load.invoke().get()); });
  const bool is_pending = argument(count, values, "calls", "blocking") == "pending";
  const int code = plugind::bench::serve([&](std::size_t calls, std::size_t in_flight) {
    return is_pending && in_flight > 1 ? run_pending(load, calls, in_flight)
                                       : blocking(calls, in_flight);
  });
  pd_close(connected);
  return code;
}
