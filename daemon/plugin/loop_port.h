// The way to a loop from another thread.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <mutex>
#include <optional>
#include <utility>

namespace plugind::plugin {

/// Any thread.  May outlive the loop: what is posted after close() is dropped.
class LoopPort {
 public:
  explicit LoopPort(boost::asio::any_io_executor loop) : loop_(std::move(loop)) {}

  template <class Work>
  void post(Work work) {
    const std::lock_guard lock(mutex_);
    if (loop_) boost::asio::post(*loop_, std::move(work));
  }
  /// The loop is about to go.
  void close() {
    const std::lock_guard lock(mutex_);
    loop_.reset();
  }

 private:
  std::mutex mutex_;
  std::optional<boost::asio::any_io_executor> loop_;
};

}  // namespace plugind::plugin
