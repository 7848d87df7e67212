// Unary calls to the echo plugin by grpc++ stubs.
//
// usage: bench_grpcpp --address unix:/PATH
//
// One call in flight is the blocking API; more are the callback API, each call starting the next.
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "plugins/proto/echo.grpc.pb.h"
#include "tests/bench/worker.h"

namespace {

using echo::v1::Echo;
using echo::v1::EchoMessage;
using plugind::bench::Clock;
using plugind::bench::fail;
using plugind::bench::Measurement;

void check(const grpc::Status& status, const EchoMessage& sent, const EchoMessage& received) {
  if (!status.ok()) fail("echo: " + status.error_message());
  if (sent.payload() != received.payload()) fail("echo did not echo");
}

/// One of the calls that are under way at a time: when it ends, it starts the next.
class Lane {
 public:
  Lane(Echo::Stub& stub, const EchoMessage& request, std::size_t calls,
       std::function<void()> on_finished)
      : stub_(stub), request_(request), left_(calls), on_finished_(std::move(on_finished)) {
    latencies_.reserve(calls);
  }

  void start() {
    if (left_ == 0) return on_finished_();
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
  std::function<void()> on_finished_;
  std::optional<grpc::ClientContext> context_;
  EchoMessage reply_;
  Clock::time_point before_;
  std::vector<Clock::duration> latencies_;
};

Measurement run_lanes(Echo::Stub& stub, const EchoMessage& request, std::size_t calls,
                      std::size_t in_flight) {
  std::mutex mutex;
  std::condition_variable finished;
  std::size_t running = in_flight;
  std::vector<std::unique_ptr<Lane>> lanes;
  for (std::size_t i = 0; i < in_flight; ++i) {
    const std::size_t share = calls / in_flight + (i < calls % in_flight ? 1 : 0);
    lanes.push_back(std::make_unique<Lane>(stub, request, share, [&] {
      const std::lock_guard lock(mutex);
      if (--running == 0) finished.notify_one();
    }));
  }
  const auto before = Clock::now();
  for (auto& lane : lanes) lane->start();
  {
    std::unique_lock lock(mutex);
    finished.wait(lock, [&running] { return running == 0; });
  }
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
  const auto channel = grpc::CreateChannel(plugind::bench::argument(count, values, "address"),
                                           grpc::InsecureChannelCredentials());
  const auto stub = Echo::NewStub(channel);
  EchoMessage request;
  request.set_payload(std::string(plugind::bench::kPayloadSize, 'x'));
  const auto blocking = plugind::bench::from_threads([&] {
    grpc::ClientContext context;
    EchoMessage reply;
    check(stub->Unary(&context, request, &reply), request, reply);
  });
  blocking(1, 1);  // connects
  return plugind::bench::serve([&](std::size_t calls, std::size_t in_flight) {
    return in_flight == 1 ? blocking(calls, 1) : run_lanes(*stub, request, calls, in_flight);
  });
}
