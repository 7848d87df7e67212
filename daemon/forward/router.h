// Decides which plugin a call goes to.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/error.h"
#include "daemon/plugin/call_target.h"
#include "proto/wire/header_list.h"

namespace plugind::forward {

/// What a connection to the front socket has shown of a host of go-plugin.  Such a host has one
/// connection for each plugin, names it nowhere, and asks go-plugin's own services, and the health
/// service, about "its plugin".
class GoPluginUse {
 public:
  /// It called one of go-plugin's own services without a name.
  void is_host() { host_ = true; }
  /// A call of it goes to that plugin, whose dialect is go-plugin.
  void calls(const std::string& plugin) {
    if (plugin_.empty()) plugin_ = plugin;
    several_ = several_ || plugin_ != plugin;
  }
  bool host() const { return host_; }
  /// The one plugin of that dialect that it calls; "" when it is none yet, or several.
  std::string_view plugin() const { return several_ ? std::string_view() : plugin_; }

 private:
  bool host_ = false;
  bool several_ = false;
  std::string plugin_;
};

class Router {
 public:
  /// Where a call goes: a plugin, or the control service when `plugin` is null.
  struct Target {
    std::shared_ptr<plugin::CallTarget> plugin;
  };

  /// `plugins` outlives it.
  explicit Router(const plugin::CallTargets& plugins) : plugins_(plugins) {}

  /// `bound` is the plugin of the plugin socket that the call arrived on, "" on the front socket.
  /// In this order: the socket; the metadata `plugind-plugin`; the daemon's own services; the only
  /// plugin that has the service.  Every go-plugin plugin has go-plugin's own: of several it is the
  /// one that the connection calls already.  On a connection that called those, health is about
  /// that plugin, too.  `use` is the connection's; it is told here whether it is such a host's.
  std::expected<Target, Error> route(const std::string& bound, const wire::HeaderList& headers,
                                     GoPluginUse& use) const;

 private:
  std::expected<Target, Error> by_name(std::string_view name) const;
  std::expected<Target, Error> by_service(std::string_view service) const;
  std::expected<Target, Error> for_go_plugin_host(std::string_view service,
                                                  const GoPluginUse& use) const;

  const plugin::CallTargets& plugins_;
};

/// "package.Service" of "/package.Service/Method"; "" when the path has not that form.
std::string_view service_of(std::string_view path);

}  // namespace plugind::forward
