// One server-streaming call of the control API with a bounded queue: a caller who reads too slowly
// is told how much it missed.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "daemon/control/call_gate.h"

namespace plugind::control {

struct StreamBounds {
  std::size_t messages = 1'024;
  std::size_t bytes = 1 << 20;
};

/// `Response` has set_dropped(uint64).  Any thread may call anything.
template <class Response>
class StreamCall final : public grpc::ServerWriteReactor<Response>, public OpenCall {
 public:
  /// `on_done` is called on a gRPC thread when the call is over, just before its destruction.
  StreamCall(CallGate& gate, StreamBounds bounds, std::function<void()> on_done)
      : gate_(gate), bounds_(bounds), on_done_(std::move(on_done)) {}

  /// Tells the caller that the stream has begun.
  void begin() {
    const std::lock_guard lock(mutex_);
    if (!finished_) this->StartSendInitialMetadata();
  }

  /// Queues a message, or counts it as dropped when the queue is full.
  void push(Response response) {
    const std::lock_guard lock(mutex_);
    if (finished_ || closing_) return;
    const std::size_t size = response.ByteSizeLong();
    if (queue_.size() >= bounds_.messages || bytes_ + size > bounds_.bytes) {
      ++dropped_;
      return;
    }
    queue_dropped();
    enqueue(std::move(response), size);
    write_next();
  }

  /// Queues a message whatever the queue holds.  For what is bounded already.
  void push_always(Response response) {
    const std::lock_guard lock(mutex_);
    if (finished_ || closing_) return;
    const std::size_t size = response.ByteSizeLong();
    enqueue(std::move(response), size);
    write_next();
  }

  /// Ends the call when everything queued has been sent.
  void close(const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    if (finished_ || closing_) return;
    closing_ = status;
    write_next();
  }

  /// Ends the call now.
  void end(const grpc::Status& status) override {
    const std::lock_guard lock(mutex_);
    finish(status);
  }

  bool ended() const {
    const std::lock_guard lock(mutex_);
    return finished_;
  }

 private:
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) return finish(grpc::Status::CANCELLED);
    write_next();
  }
  void OnCancel() override { end(grpc::Status::CANCELLED); }
  void OnDone() override {
    if (on_done_) on_done_();
    gate_.leave(this);
  }

  // The rest is called with the lock held.  gRPC's operations are started under it, so that none
  // is started after Finish; gRPC calls none of the functions above from within them.

  void enqueue(Response response, std::size_t size) {
    queue_.emplace_back(std::move(response), size);
    bytes_ += size;
  }

  void queue_dropped() {
    if (dropped_ == 0) return;
    Response marker;
    marker.set_dropped(std::exchange(dropped_, 0));
    enqueue(std::move(marker), 0);
  }

  void write_next() {
    if (writing_ || finished_) return;
    if (queue_.empty()) queue_dropped();
    if (queue_.empty()) {
      if (closing_) finish(*closing_);
      return;
    }
    current_ = std::move(queue_.front().first);
    bytes_ -= queue_.front().second;
    queue_.pop_front();
    writing_ = true;
    this->StartWrite(&current_);
  }

  void finish(const grpc::Status& status) {
    if (std::exchange(finished_, true)) return;
    queue_.clear();
    this->Finish(status);
  }

  CallGate& gate_;
  const StreamBounds bounds_;
  const std::function<void()> on_done_;

  mutable std::mutex mutex_;
  std::deque<std::pair<Response, std::size_t>> queue_;
  std::size_t bytes_ = 0;
  Response current_;  ///< Being written; gRPC reads it until OnWriteDone.
  std::uint64_t dropped_ = 0;
  bool writing_ = false;
  bool finished_ = false;
  std::optional<grpc::Status> closing_;
};

}  // namespace plugind::control
