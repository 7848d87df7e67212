// Unary calls by grpc++ stubs, one or many in flight.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "tests/bench/grpcpp_streams.h"
#include "tests/bench/worker.h"

namespace plugind::bench {

/// One of the calls that are under way at a time: when it ends, it starts the next.  `Service` has
/// a `Reply`, `call` and `start`, which are the stub's blocking and its callback method with the
/// request that it made ready, and `check` for what came of it.
template <typename Service>
class Lane {
 public:
  Lane(Service& service, std::size_t calls, Countdown& running)
      : service_(service), left_(calls), running_(running) {
    latencies_.reserve(calls);
  }

  void start() {
    if (left_ == 0) return running_.one_less();
    --left_;
    context_.emplace();
    reply_.Clear();
    before_ = Clock::now();
    service_.start(*context_, reply_, [this](const grpc::Status& status) {
      latencies_.push_back(Clock::now() - before_);
      service_.check(status, reply_);
      start();
    });
  }

  const std::vector<Clock::duration>& latencies() const { return latencies_; }

 private:
  Service& service_;
  std::size_t left_;
  Countdown& running_;
  std::optional<grpc::ClientContext> context_;
  typename Service::Reply reply_;
  Clock::time_point before_;
  std::vector<Clock::duration> latencies_;
};

template <typename Service>
Measurement run_lanes(Service& service, const Load& load) {
  Countdown running(load.in_flight);
  std::vector<std::unique_ptr<Lane<Service>>> lanes;
  for (std::size_t i = 0; i < load.in_flight; ++i) {
    lanes.push_back(
        std::make_unique<Lane<Service>>(service, share_of(load.count, load.in_flight, i), running));
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

/// One call in flight is the blocking API, more are the callback API.
template <typename Service>
Measurement run_unary(Service& service, const Load& load) {
  if (load.in_flight > 1) return run_lanes(service, load);
  return from_threads(load, [&service] {
    grpc::ClientContext context;
    typename Service::Reply reply;
    const grpc::Status status = service.call(context, reply);
    service.check(status, reply);
  });
}

}  // namespace plugind::bench
