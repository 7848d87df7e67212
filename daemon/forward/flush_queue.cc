#include "daemon/forward/flush_queue.h"

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "daemon/forward/transport.h"

namespace plugind::forward {

namespace {
// Far below every keepalive timeout, which gRPC counts in seconds.
constexpr std::chrono::milliseconds kPingDelay{5};
}  // namespace

void FlushQueue::add(std::shared_ptr<Transport> transport) {
  dirty_.push_back(std::move(transport));
  if (depth_ > 0 || posted_) return;
  posted_ = true;
  boost::asio::post(loop_, [this] {
    posted_ = false;
    const Turn turn(*this);
  });
}

void FlushQueue::answer_pings(std::shared_ptr<Transport> transport) {
  pinged_.push_back(std::move(transport));
  if (pinged_.size() > 1) return;
  ping_timer_.expires_after(kPingDelay);
  ping_timer_.async_wait([this](const boost::system::error_code& ec) {
    if (!ec) answer_all_pings();
  });
}

void FlushQueue::answer_all_pings() {
  const Turn turn(*this);
  for (const auto& transport : std::exchange(pinged_, {})) transport->answer_pings();
}

void FlushQueue::flush() {
  // Flushing one connection opens windows on others, which adds to the list.
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    const std::shared_ptr<Transport> transport = std::move(dirty_[i]);
    transport->flush();
  }
  dirty_.clear();
}

}  // namespace plugind::forward
