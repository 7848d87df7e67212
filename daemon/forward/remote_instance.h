// An instance, for a loop beside the one that owns it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/forward/context.h"
#include "daemon/plugin/call_counts.h"
#include "daemon/plugin/call_target.h"
#include "daemon/plugin/connection.h"
#include "daemon/plugin/crash_log.h"
#include "daemon/plugin/instance.h"
#include "daemon/plugin/loop_port.h"

namespace plugind::forward {

/// An instance that is ready, in a form that other loops may have.
struct InstanceFacts {
  std::string id;
  plugin::Endpoint endpoint;
  std::shared_ptr<plugin::CallCounts> calls;
  // To be used on the home loop only:
  std::weak_ptr<plugin::Instance> instance;
  std::shared_ptr<plugin::InstanceEnd> end;
};

class RemoteInstance final : public plugin::CallInstance {
 public:
  RemoteInstance(InstanceFacts facts, std::string plugin, boost::asio::any_io_executor loop,
                 LaneNumber lane, std::shared_ptr<plugin::LoopPort> here,
                 std::shared_ptr<plugin::LoopPort> home, plugin::Connector& connector);

  ~RemoteInstance() override;

  /// Makes the connection, if that is not done or under way; `done` is called when it is there (or
  /// cannot be made); from inside if it is there already.
  void connect(std::function<void(std::expected<void, Error>)> done);
  /// It takes no more calls.
  void retire() { retired_ = true; }
  bool retired() const { return retired_; }

  const std::string& id() const override { return facts_.id; }
  bool ready() const override { return !retired_ && connection_ && connection_->alive(); }
  plugin::Connection& connection() override { return *connection_; }
  void call_started() override { facts_.calls->started(lane_.index); }
  void call_finished() override {
    facts_.calls->finished(lane_.index);
    if (retired_) tell_finished();
  }
  void explain_loss(plugin::LostCall call, std::function<void(const Error&)> tell) override;

 private:
  boost::asio::awaitable<void> make_connection();
  void tell_finished();

  const InstanceFacts facts_;
  const std::string plugin_;
  boost::asio::any_io_executor loop_;
  const LaneNumber lane_;
  const std::shared_ptr<plugin::LoopPort> here_;
  const std::shared_ptr<plugin::LoopPort> home_;
  plugin::Connector& connector_;
  std::unique_ptr<plugin::Connection> connection_;
  std::vector<std::function<void(std::expected<void, Error>)>> waiting_;
  bool connecting_ = false;
  bool retired_ = false;
};

}  // namespace plugind::forward
