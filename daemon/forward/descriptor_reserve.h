// A descriptor that is kept for the moment when there is no other.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/local/stream_protocol.hpp>

namespace plugind::forward {

/// Without it who connects would be neither taken nor refused while the process has all the
/// descriptors that it may have, and the accepting would be tried again and again.
class DescriptorReserve {
 public:
  explicit DescriptorReserve(boost::asio::any_io_executor loop) : spare_(std::move(loop)) {
    refill();
  }

  /// Calls `use` while one descriptor is free.  False: there was none in reserve.
  template <class Use>
  bool lend(Use use) {
    if (!spare_.is_open()) {
      refill();
      return false;
    }
    boost::system::error_code ignored;
    spare_.close(ignored);
    use();
    refill();
    return true;
  }

 private:
  void refill() {
    boost::system::error_code ignored;
    spare_.open(boost::asio::local::stream_protocol(), ignored);
  }

  boost::asio::local::stream_protocol::socket spare_;
};

}  // namespace plugind::forward
