// Unary calls by libplugind.
//
// usage: bench_libplugind --address ADDRESS --service kv|echo [--plugins NAME,NAME...]
//                         [--connections N] [--calls blocking|pending]
//
// Several calls in flight are made by as many threads (blocking, the default), or all by one thread
// that takes the answers as they come (pending).  One call in flight is pd_invoke either way.
//
// Kind "unary" calls the first plugin by the first connection, while the others are open and idle.
// Kind "spread" takes plugins and connections in turn.  Without --plugins calls name none, so that
// they can go through something else than plugind.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "plugind/plugind.h"
#include "tests/bench/worker.h"

namespace {

using plugind::bench::argument;
using plugind::bench::Clock;
using plugind::bench::fail;
using plugind::bench::Load;
using plugind::bench::Measurement;

using Client = std::unique_ptr<pd_client, decltype(&pd_close)>;
using Reply = std::unique_ptr<pd_reply, decltype(&pd_reply_free)>;

/// What is called, and what becomes of the answers.
struct Target {
  std::vector<Client> clients;
  std::vector<std::string> plugins;  ///< "" for none.
  const char* method = nullptr;
  std::string request;
  std::function<void(const pd_reply*)> check;
  std::set<std::size_t> stored;  ///< The sizes for which kv has a value.
  std::size_t next = 0;          ///< Where "spread" goes on.

  const char* plugin(std::size_t turn) const {
    const std::string& name = plugins[turn % plugins.size()];
    return name.empty() ? nullptr : name.c_str();
  }
  pd_client* client(std::size_t turn) const { return clients[turn % clients.size()].get(); }

  Reply invoke(std::size_t turn) const {
    pd_error* error = nullptr;
    Reply reply(pd_invoke(client(turn), plugin(turn), method, request.data(), request.size(),
                          nullptr, &error),
                pd_reply_free);
    if (!reply) fail(std::string(method) + ": " + pd_error_message(error));
    return reply;
  }

  pd_call* begin(std::size_t turn, std::uint64_t tag) const {
    pd_error* error = nullptr;
    pd_call* call = pd_call_begin(client(turn), plugin(turn), method, request.data(),
                                  request.size(), nullptr, tag, &error);
    if (call == nullptr) fail(std::string(method) + ": " + pd_error_message(error));
    return call;
  }

  void end(pd_call* call) const {
    pd_error* error = nullptr;
    const Reply reply(pd_call_wait(call, &error), pd_reply_free);
    if (!reply) fail(std::string(method) + ": " + pd_error_message(error));
    check(reply.get());
    pd_call_free(call);
  }
};

/// All calls from the calling thread, by the first connection.  A call's tag is the number of its
/// place among those in flight.
Measurement run_pending(const Target& target, const Load& load) {
  Measurement measurement;
  measurement.latencies.reserve(load.count);
  std::vector<Clock::time_point> begun(std::min(load.in_flight, load.count));
  const auto before = Clock::now();
  std::size_t left = load.count;
  const auto begin = [&](std::size_t place) {
    --left;
    begun[place] = Clock::now();
    target.begin(0, place);
  };
  for (std::size_t place = 0; place < begun.size(); ++place) begin(place);
  while (pd_call* call = pd_next(target.client(0), -1)) {
    const std::size_t place = pd_call_tag(call);
    target.end(call);
    measurement.latencies.push_back(Clock::now() - begun[place]);
    if (left > 0) begin(place);
  }
  measurement.elapsed = Clock::now() - before;
  return measurement;
}

/// The same over all connections and plugins in turn.  pd_next is about one connection, so the
/// oldest call is waited for.
Measurement run_spread(Target& target, const Load& load) {
  struct Begun {
    pd_call* call;
    Clock::time_point at;
  };
  Measurement measurement;
  measurement.latencies.reserve(load.count);
  std::deque<Begun> under_way;
  const auto before = Clock::now();
  for (std::size_t left = load.count; left > 0 || !under_way.empty();) {
    for (; left > 0 && under_way.size() < load.in_flight; --left, ++target.next) {
      const auto at = Clock::now();
      under_way.push_back({target.begin(target.next, 0), at});
      pd_flush(target.client(target.next));
    }
    target.end(under_way.front().call);
    measurement.latencies.push_back(Clock::now() - under_way.front().at);
    under_way.pop_front();
  }
  measurement.elapsed = Clock::now() - before;
  return measurement;
}

/// A protobuf field of a string or bytes.
std::string field(char number, const std::string& value) {
  std::string encoded{static_cast<char>(number << 3 | 2)};
  std::size_t size = value.size();
  for (; size >= 0x80; size >>= 7) encoded += static_cast<char>((size & 0x7f) | 0x80);
  encoded += static_cast<char>(size);
  return encoded + value;
}

/// Makes calls carry `size` bytes.
void set_size(Target& target, bool is_kv, std::size_t size) {
  const std::string payload(size, 'x');
  if (is_kv) {
    const std::string key = "bench-" + std::to_string(size);
    if (target.stored.insert(size).second) {
      target.method = "/proto.KV/Put";
      target.request = field(1, key) + field(2, payload);
      target.invoke(0);
    }
    target.method = "/proto.KV/Get";
    target.request = field(1, key);
    target.check = [size](const pd_reply* reply) {
      if (pd_reply_size(reply) < size) fail("kv answered something else than it was given");
    };
  } else {
    target.method = "/echo.v1.Echo/Unary";
    target.request = field(1, payload);
    target.check = [&target](const pd_reply* reply) {
      if (target.request !=
          std::string_view(static_cast<const char*>(pd_reply_data(reply)), pd_reply_size(reply))) {
        fail("echo did not echo");
      }
    };
  }
}

Target connect(int count, char** values) {
  Target target;
  std::istringstream names(argument(count, values, "plugins"));
  for (std::string name; std::getline(names, name, ',');) target.plugins.push_back(name);
  if (target.plugins.empty()) target.plugins.emplace_back();
  const std::string address = argument(count, values, "address");
  const int connections = std::stoi(argument(count, values, "connections", "1"));
  for (int i = 0; i < connections; ++i) {
    pd_error* error = nullptr;
    target.clients.emplace_back(pd_connect(address.c_str(), 0, &error), pd_close);
    if (!target.clients.back()) fail(pd_error_message(error));
  }
  return target;
}

}  // namespace

int main(int count, char** values) {
  Target target = connect(count, values);
  const bool is_kv = argument(count, values, "service") == "kv";
  const bool is_pending = argument(count, values, "calls", "blocking") == "pending";
  std::size_t size = 0;
  return plugind::bench::serve([&](const Load& load) {
    if (load.size != size) set_size(target, is_kv, size = load.size);
    if (load.kind == "spread") return run_spread(target, load);
    if (load.kind != "unary") fail("there are no calls of the kind " + load.kind);
    if (is_pending && load.in_flight > 1) return run_pending(target, load);
    return from_threads(load, [&target] { target.check(target.invoke(0).get()); });
  });
}
