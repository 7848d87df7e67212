// A plugin, for a loop beside the one that owns it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "daemon/forward/context.h"
#include "daemon/forward/remote_instance.h"
#include "daemon/plugin/call_counts.h"
#include "daemon/plugin/call_target.h"
#include "daemon/plugin/connection.h"
#include "daemon/plugin/loop_port.h"
#include "daemon/plugin/plugin.h"

namespace plugind::forward {

/// A registered plugin, in a form that other loops may have.
struct PluginFacts {
  std::shared_ptr<const plugin::Manifest> manifest;
  std::shared_ptr<plugin::CallCounts> calls;
  std::shared_ptr<plugin::CallPlaces> places;
  std::weak_ptr<plugin::Plugin> plugin;  ///< To be locked on the home loop only.
};

/// A loop beside the home loop, and how messages get to and fro.
struct RemoteLoop {
  boost::asio::any_io_executor loop;
  LaneNumber lane;
  std::shared_ptr<plugin::LoopPort> here;
  std::shared_ptr<plugin::LoopPort> home;
  plugin::Connector& connector;  ///< Of this loop; outlives everything on it.
};

class RemotePlugin final : public plugin::CallTarget {
 public:
  RemotePlugin(PluginFacts facts, std::shared_ptr<const RemoteLoop> loop);

  const std::shared_ptr<const plugin::Manifest>& shared_manifest() const { return facts_.manifest; }
  /// The instance takes no more calls; those that are on it go on.
  void retire_instance(const std::string& id);

  const plugin::Manifest& manifest() const override { return *facts_.manifest; }
  void count_call() override { facts_.calls->started(loop_->lane.index); }
  std::expected<void, Error> begin_call() override;
  void end_call() override { places_.give(); }
  plugin::CallInstance* ready_instance(plugin::HostId host) override;
  Ticket wait_instance(plugin::HostId host, std::int64_t host_pid,
                       InstanceCallback callback) override;
  void host_gone(plugin::HostId host) override;
  Ticket follow_output(plugin::HostId host, plugin::OutputLog::Follower follower) override;

 private:
  struct Wait;
  struct Following;

  /// Which of the instances a call of that host is for: of those that the home loop chooses from,
  /// the one that it has chosen.
  using Key = std::pair<plugin::HostId, std::string>;
  Key key_of(plugin::HostId host, const std::string& chosen = {}) const {
    return {facts_.manifest->scope == plugin::Scope::kShared ? 0 : host,
            plugin::spreads_calls(*facts_.manifest) ? chosen : std::string()};
  }
  void ask(const std::shared_ptr<Wait>& wait);
  void on_answer(const std::shared_ptr<Wait>& wait, std::expected<InstanceFacts, Error> answer);
  Error gone_error() const;
  std::shared_ptr<RemotePlugin> self() {
    return std::static_pointer_cast<RemotePlugin>(shared_from_this());
  }

  const PluginFacts facts_;
  const std::shared_ptr<const RemoteLoop> loop_;
  plugin::LanePlaces places_;
  std::map<Key, std::shared_ptr<RemoteInstance>> instances_;
};

}  // namespace plugind::forward
