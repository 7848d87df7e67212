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
  /// plugin that declares the service.
  std::expected<Target, Error> route(const std::string& bound,
                                     const wire::HeaderList& headers) const;

 private:
  std::expected<Target, Error> by_name(std::string_view name) const;
  std::expected<Target, Error> by_service(std::string_view service) const;

  const plugin::CallTargets& plugins_;
};

/// "package.Service" of "/package.Service/Method"; "" when the path has not that form.
std::string_view service_of(std::string_view path);

}  // namespace plugind::forward
