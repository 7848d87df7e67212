// StreamLogs: the lines that a plugin's log has, then those that come.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "daemon/control/plugin_admin.h"
#include "daemon/control/stream_call.h"
#include "daemon/plugin/loop_port.h"
#include "plugind/v1/plugin_host.pb.h"

namespace plugind::control {

using LogCall = StreamCall<v1::StreamLogsResponse>;

/// Which lines a request asks for.  A time outside of what the clock has is its first or last one,
/// a level above all others the highest.
plugin::LogSelection to_selection(const v1::StreamLogsRequest& request);

/// Lives on the loop.  Follows the plugin of a name: when a reload registers it anew its new log is
/// followed, when a reload removes it the call is closed.
class LogFollow : public std::enable_shared_from_this<LogFollow> {
 public:
  LogFollow(std::shared_ptr<plugin::LoopPort> loop, PluginAdmin& admin, std::weak_ptr<LogCall> call,
            std::string name, plugin::LogSelection selection);
  /// Follows `log` from now on, and whatever log the plugin has later.
  void start(std::shared_ptr<plugin::OutputLog> log);

 private:
  void follow(std::shared_ptr<plugin::OutputLog> log);
  /// The set of plugins has changed.
  void look_again();

  std::shared_ptr<plugin::LoopPort> loop_;
  PluginAdmin& admin_;
  std::weak_ptr<LogCall> call_;
  std::string name_;
  const plugin::LogSelection selection_;
  std::shared_ptr<plugin::OutputLog> log_;
  plugin::OutputLog::Subscription lines_;
  plugin::EventBus::Subscription events_;
};

v1::StreamLogsResponse to_response(const plugin::LogLine& line);

}  // namespace plugind::control
