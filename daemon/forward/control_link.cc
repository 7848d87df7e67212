#include "daemon/forward/control_link.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

namespace plugind::forward {

namespace {
constexpr std::chrono::milliseconds kConnectBound{2'000};
}

ControlLink::ControlLink(boost::asio::any_io_executor loop, plugin::Connector& connector,
                         plugin::Endpoint endpoint)
    : loop_(std::move(loop)), connector_(connector), endpoint_(std::move(endpoint)) {}

UpstreamCore* ControlLink::ready() {
  if (connection_ == nullptr || !connection_->alive()) return nullptr;
  return &static_cast<Upstream&>(*connection_).core();
}

void ControlLink::wait(Callback callback) {
  waiting_.push_back(std::move(callback));
  if (waiting_.size() == 1) boost::asio::co_spawn(loop_, connect(), boost::asio::detached);
}

boost::asio::awaitable<void> ControlLink::connect() {
  auto connection = co_await connector_.connect(endpoint_, kConnectBound);
  auto waiting = std::exchange(waiting_, {});
  if (!connection) {
    for (Callback& callback : waiting) callback(std::unexpected(connection.error()));
    co_return;
  }
  connection_ = std::move(*connection);
  const auto core = static_cast<Upstream&>(*connection_).core().shared_from_this();
  for (Callback& callback : waiting) callback(core);
}

}  // namespace plugind::forward
