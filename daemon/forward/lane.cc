#include "daemon/forward/lane.h"

#include <utility>
#include <vector>

namespace plugind::forward {

Lane::Lane(boost::asio::any_io_executor loop, LaneNumber number, FlushQueue& queue,
           plugin::Connector& connector, plugin::CallTargets& plugins, plugin::Endpoint control,
           const wire::Limits& limits, HostPolicy policy, Report report, Gone gone)
    : deadlines_(loop),
      router_(plugins),
      control_(loop, connector, std::move(control)),
      context_{.loop = loop,
               .lane = number,
               .queue = queue,
               .deadlines = deadlines_,
               .plugins = plugins,
               .router = router_,
               .control = control_,
               .limits = limits,
               .policy = std::move(policy),
               .report = std::move(report),
               .refusals = {},
               .header_pool = {},
               .draining = false,
               .counters = {}},
      gone_(std::move(gone)) {}

void Lane::add(Transport::Socket socket, const std::string& bound_plugin, Host host) {
  const auto downstream = std::make_shared<Downstream>(
      context_, std::move(socket), bound_plugin, std::move(host),
      [this, weak = std::weak_ptr<void>(alive_)](Downstream& gone, const std::string& why) {
        if (weak.expired()) return;
        gone_(gone.host(), why);
        connections_.erase(&gone);
      });
  connections_.emplace(downstream.get(), downstream);
  downstream->start();
  // It may have been on its way while the others were told.
  if (context_.draining) downstream->drain();
}

template <class Wanted>
void Lane::close_if(Wanted wanted) {
  std::vector<std::shared_ptr<Downstream>> closing;
  std::erase_if(connections_, [&](const auto& entry) {
    if (!wanted(*entry.second)) return false;
    closing.push_back(entry.second);
    return true;
  });
  for (const auto& downstream : closing) {
    gone_(downstream->host(), "");
    downstream->close();
  }
}

void Lane::close(const std::string& bound_plugin) {
  const FlushQueue::Turn turn(context_.queue);
  close_if([&](const Downstream& one) { return one.bound_plugin() == bound_plugin; });
}

void Lane::drain() {
  context_.draining = true;
  const FlushQueue::Turn turn(context_.queue);
  for (const auto& [key, downstream] : connections_) downstream->drain();
}

void Lane::close_settled() {
  const FlushQueue::Turn turn(context_.queue);
  close_if([](const Downstream& one) { return !one.awaits_end(); });
}

void Lane::connect_control() {
  if (control_.ready() == nullptr) control_.wait([](const auto&) {});
}

void Lane::close() {
  const FlushQueue::Turn turn(context_.queue);
  close_if([](const Downstream&) { return true; });
  control_.close();
}

}  // namespace plugind::forward
