// The exchange of a running plugin for another version of it, without an outage.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <expected>
#include <memory>
#include <string>

#include "daemon/error.h"
#include "daemon/plugin/event.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::plugin {

/// Which of a plugin's versions is the registered one.  Outlives every upgrade.
class Register {
 public:
  /// Null when no plugin of that name is registered.
  virtual std::shared_ptr<Plugin> registered(const std::string& name) const = 0;
  /// From now on `plugin` is the one of its name; whoever watches is told `cause`.
  virtual void replace(const std::shared_ptr<Plugin>& plugin, const std::string& cause) = 0;
  /// Keeps what is not registered, or not any more, until its instances have ended.
  virtual void keep(const std::shared_ptr<Plugin>& plugin) = 0;
  /// The same, and has them stop.
  virtual void retire(const std::shared_ptr<Plugin>& plugin, const std::string& cause) = 0;
  virtual bool draining() const = 0;

 protected:
  ~Register() = default;
};

/// Starts an instance of `next` beside what runs of `before`.  Once it is ready `next` is
/// registered and new calls go to it.  Hosts that have an instance of their own keep that until
/// they go.  What `before` ran stays in reserve for the time of upgrade.probation; should an
/// instance of `next` fail meanwhile, `before` is registered again.
///
/// Completes when `next` has passed its probation.  With an Error `before` is the registered one,
/// unless a reload or the daemon's end came between.
boost::asio::awaitable<std::expected<void, Error>> upgrade(const Environment& environment,
                                                           EventBus& events, Register& plugins,
                                                           std::shared_ptr<Plugin> before,
                                                           std::shared_ptr<Plugin> next);

}  // namespace plugind::plugin
