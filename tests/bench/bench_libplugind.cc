// Unary calls by libplugind, through plugind.
//
// usage: bench_libplugind --address ADDRESS --plugin NAME --service kv|echo
#include <cstring>
#include <memory>
#include <string>

#include "plugind/plugind.h"
#include "tests/bench/worker.h"

namespace {

using plugind::bench::argument;
using plugind::bench::fail;
using plugind::bench::kPayloadSize;

struct Client {
  pd_client* client;
  std::string plugin;

  /// The reply's bytes.
  std::string invoke(const char* method, const std::string& request) const {
    pd_error* error = nullptr;
    const std::unique_ptr<pd_reply, decltype(&pd_reply_free)> reply(
        pd_invoke(client, plugin.c_str(), method, request.data(), request.size(), nullptr, &error),
        pd_reply_free);
    if (!reply) fail(std::string(method) + ": " + pd_error_message(error));
    return {static_cast<const char*>(pd_reply_data(reply.get())), pd_reply_size(reply.get())};
  }
};

/// A protobuf field of a string or bytes shorter than 128.
std::string field(char number, const std::string& value) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(value.size())} + value;
}

}  // namespace

int main(int count, char** values) {
  pd_error* error = nullptr;
  pd_client* connected = pd_connect(argument(count, values, "address").c_str(), 0, &error);
  if (connected == nullptr) fail(pd_error_message(error));
  const Client client{connected, argument(count, values, "plugin")};
  const std::string payload(kPayloadSize, 'x');

  int code = 0;
  if (argument(count, values, "service") == "kv") {
    client.invoke("/proto.KV/Put", field(1, "bench") + field(2, payload));
    code = plugind::bench::serve(plugind::bench::from_threads([&client] {
      const std::string reply = client.invoke("/proto.KV/Get", field(1, "bench"));
      if (reply.size() < kPayloadSize) fail("kv answered something else than it was given");
    }));
  } else {
    code = plugind::bench::serve(plugind::bench::from_threads([&client, &payload] {
      const std::string request = field(1, payload);
      if (client.invoke("/echo.v1.Echo/Unary", request) != request) fail("echo did not echo");
    }));
  }
  pd_close(connected);
  return code;
}
