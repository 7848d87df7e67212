// Calls to the echo plugin by grpc++ stubs.
//
// usage: bench_grpcpp --address unix:/PATH
//
// Kinds: "unary"; "server-stream", messages from the plugin; "bidi", messages there and back.  One
// unary call in flight is the blocking API; everything else is the callback API.
#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plugins/proto/echo.grpc.pb.h"
#include "tests/bench/grpcpp_streams.h"
#include "tests/bench/worker.h"

namespace {

using echo::v1::Echo;
using echo::v1::EchoMessage;
using plugind::bench::Clock;
using plugind::bench::Countdown;
using plugind::bench::fail;
using plugind::bench::Load;
using plugind::bench::Measurement;

void check(const grpc::Status& status, const EchoMessage& sent, const EchoMessage& received) {
  if (!status.ok()) fail("echo: " + status.error_message());
  if (sent.payload() != received.payload()) fail("echo did not echo");
}

/// One of the calls that are under way at a time: when it ends, it starts the next.
class Lane {
 public:
  Lane(Echo::Stub& stub, const EchoMessage& request, std::size_t calls, Countdown& running)
      : stub_(stub), request_(request), left_(calls), running_(running) {
    latencies_.reserve(calls);
  }

  void start() {
    if (left_ == 0) return running_.one_less();
    --left_;
    context_.emplace();
    reply_.Clear();
    before_ = Clock::now();
    stub_.async()->Unary(&*context_, &request_, &reply_, [this](const grpc::Status& status) {
      latencies_.push_back(Clock::now() - before_);
      check(status, request_, reply_);
      start();
    });
  }

  const std::vector<Clock::duration>& latencies() const { return latencies_; }

 private:
  Echo::Stub& stub_;
  const EchoMessage& request_;
  std::size_t left_;
  Countdown& running_;
  std::optional<grpc::ClientContext> context_;
  EchoMessage reply_;
  Clock::time_point before_;
  std::vector<Clock::duration> latencies_;
};

Measurement run_lanes(Echo::Stub& stub, const EchoMessage& request, const Load& load) {
  Countdown running(load.in_flight);
  std::vector<std::unique_ptr<Lane>> lanes;
  for (std::size_t i = 0; i < load.in_flight; ++i) {
    const std::size_t share = plugind::bench::share_of(load.count, load.in_flight, i);
    lanes.push_back(std::make_unique<Lane>(stub, request, share, running));
  }
  const auto before = Clock::now();
  for (auto& lane : lanes) lane->start();
  running.wait();
  Measurement measurement;
  measurement.elapsed = Clock::now() - before;
  for (const auto& lane : lanes) {
    measurement.latencies.insert(measurement.latencies.end(), lane->latencies().begin(),
                                 lane->latencies().end());
  }
  return measurement;
}

}  // namespace

int main(int count, char** values) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  const auto channel = grpc::CreateCustomChannel(plugind::bench::argument(count, values, "address"),
                                                 grpc::InsecureChannelCredentials(), arguments);
  const auto stub = Echo::NewStub(channel);
  EchoMessage request;
  return plugind::bench::serve([&](const Load& load) {
    if (request.payload().size() != load.size) request.set_payload(std::string(load.size, 'x'));
    if (load.kind == "server-stream" || load.kind == "bidi") {
      return plugind::bench::run_streams(*stub, request, load);
    }
    if (load.kind != "unary") fail("there are no calls of the kind " + load.kind);
    if (load.in_flight > 1) return run_lanes(*stub, request, load);
    return from_threads(load, [&] {
      grpc::ClientContext context;
      EchoMessage reply;
      check(stub->Unary(&context, request, &reply), request, reply);
    });
  });
}
