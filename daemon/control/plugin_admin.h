// What the control service needs of the domain, so that its tests need no processes.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::control {

/// Every function is called on the loop and every callback is made there.  The functions mean what
/// those of plugin::Supervisor of the same names mean.
class PluginAdmin {
 public:
  using StatusCallback = plugin::Supervisor::StatusCallback;

  virtual ~PluginAdmin() = default;
  virtual std::vector<plugin::PluginStatus> list() const = 0;
  virtual std::expected<plugin::PluginStatus, Error> status(const std::string& name) const = 0;
  virtual void start(const std::string& name, StatusCallback done) = 0;
  virtual void stop(const std::string& name, StatusCallback done) = 0;
  virtual void restart(const std::string& name, StatusCallback done) = 0;
  virtual std::expected<std::shared_ptr<plugin::OutputLog>, Error> log(
      const std::string& name) const = 0;
  virtual std::expected<std::vector<plugin::CrashReport>, Error> crashes(
      const std::string& name) const = 0;
  virtual plugin::EventBus& events() = 0;
};

/// The real one.  `supervisor` outlives it.
std::unique_ptr<PluginAdmin> make_plugin_admin(plugin::Supervisor& supervisor);

}  // namespace plugind::control
