#include "daemon/forward/flush_queue.h"

#include <boost/asio/post.hpp>

#include "daemon/forward/transport.h"

namespace plugind::forward {

void FlushQueue::add(std::shared_ptr<Transport> transport) {
  dirty_.push_back(std::move(transport));
  if (depth_ > 0 || posted_) return;
  posted_ = true;
  boost::asio::post(loop_, [this] {
    posted_ = false;
    const Turn turn(*this);
  });
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
