// Collects the connections that have something to send, so that each sends once per turn of the
// loop, whatever number of calls had something for it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <vector>

namespace plugind::forward {

class Transport;

class FlushQueue {
 public:
  explicit FlushQueue(boost::asio::any_io_executor loop) : loop_(loop), ping_timer_(loop) {}

  /// The transport is flushed when the current turn ends, or soon if none is running.
  void add(std::shared_ptr<Transport> transport);

  /// The transport's pings are answered soon, but not each by itself: grpc-go sends one with every
  /// message it gets, to measure the bandwidth, and answering it at once would cost a call two more
  /// system calls here and two more wakeups there.
  void answer_pings(std::shared_ptr<Transport> transport);

  /// One event's worth of work.  Turns nest; the outermost flushes.
  class Turn {
   public:
    explicit Turn(FlushQueue& queue) : queue_(queue) { ++queue_.depth_; }
    ~Turn() {
      if (queue_.depth_ == 1) queue_.flush();
      --queue_.depth_;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    FlushQueue& queue_;
  };

 private:
  void flush();
  void answer_all_pings();

  boost::asio::any_io_executor loop_;
  std::vector<std::shared_ptr<Transport>> dirty_;
  std::vector<std::shared_ptr<Transport>> pinged_;
  boost::asio::steady_timer ping_timer_;
  int depth_ = 0;
  bool posted_ = false;
};

}  // namespace plugind::forward
