// The way from gRPC's threads to the loop.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <mutex>
#include <optional>
#include <utility>

namespace plugind::control {

/// Any thread.  gRPC may outlive the loop: a peer that does not read can keep its threads busy.
class Loop {
 public:
  explicit Loop(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  /// Runs `work` on the loop; drops it when the loop is gone.
  template <class Work>
  void post(Work work) {
    const std::lock_guard lock(mutex_);
    if (executor_) boost::asio::post(*executor_, std::move(work));
  }
  /// The loop is about to go.
  void close() {
    const std::lock_guard lock(mutex_);
    executor_.reset();
  }

 private:
  std::mutex mutex_;
  std::optional<boost::asio::any_io_executor> executor_;
};

}  // namespace plugind::control
