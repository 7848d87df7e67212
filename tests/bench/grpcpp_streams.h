// Messages of streaming calls to the echo plugin, by grpc++ stubs.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "plugins/proto/echo.grpc.pb.h"
#include "tests/bench/worker.h"

namespace plugind::bench {

/// Waits until so many have ended.
class Countdown {
 public:
  explicit Countdown(std::size_t count) : count_(count) {}
  void one_less() {
    const std::lock_guard lock(mutex_);
    if (--count_ == 0) finished_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable finished_;
  std::size_t count_;
};

/// `load.count` messages over `load.in_flight` streams.  "server-stream": the plugin sends them.
/// "bidi": they are sent to the plugin and come back; writing does not wait for what comes back.
Measurement run_streams(echo::v1::Echo::Stub& stub, const echo::v1::EchoMessage& message,
                        const Load& load);

/// Streams of large messages from the plugin that nobody reads, until this object goes.  They fill
/// what may wait between plugin and host, and stand still.
class UnreadStreams {
 public:
  UnreadStreams(const std::shared_ptr<grpc::Channel>& channel, std::size_t count);
  ~UnreadStreams();
  UnreadStreams(const UnreadStreams&) = delete;
  UnreadStreams& operator=(const UnreadStreams&) = delete;

 private:
  class Stream;
  echo::v1::Echo::Stub stub_;
  Countdown running_;
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace plugind::bench
