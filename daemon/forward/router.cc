#include "daemon/forward/router.h"

#include <string>
#include <utility>
#include <vector>

#include "daemon/plugin/go_plugin_services.h"
#include "daemon/plugin/printable.h"

namespace plugind::forward {

namespace {

// Of a service that a caller asks for.  It may be as long as a header block.
constexpr std::size_t kShown = 200;

constexpr std::string_view kHealth = "grpc.health.v1.Health";

bool is_own_service(std::string_view service) {
  return service.starts_with("plugind.v1.") || service == kHealth ||
         service.starts_with("grpc.reflection.");
}

std::string shown(std::string_view service) {
  return "'" + plugin::printable(service, kShown) + "'";
}

std::string names_of(const std::vector<std::shared_ptr<plugin::CallTarget>>& plugins) {
  std::string names;
  for (const auto& plugin : plugins) names += (names.empty() ? "" : ", ") + plugin->name();
  return names;
}

}  // namespace

std::string_view service_of(std::string_view path) {
  if (path.size() < 3 || path.front() != '/') return {};
  const std::size_t slash = path.find('/', 1);
  if (slash == std::string_view::npos || slash + 1 == path.size()) return {};
  return path.substr(1, slash - 1);
}

std::expected<Router::Target, Error> Router::route(const std::string& bound,
                                                   const wire::HeaderList& headers,
                                                   GoPluginUse& use) const {
  if (!bound.empty()) return by_name(bound);
  if (const std::string_view name = headers.get("plugind-plugin"); !name.empty()) {
    return by_name(name);
  }
  const std::string_view service = service_of(headers.get(":path"));
  if (plugin::is_go_plugin_service(service)) {
    use.is_host();
    return for_go_plugin_host(service, use);
  }
  // Which service's health is asked for is in the message, which nobody reads here.
  if (service == kHealth && use.host()) return for_go_plugin_host(service, use);
  if (is_own_service(service)) return Target{};
  return by_service(service);
}

std::expected<Router::Target, Error> Router::by_name(std::string_view name) const {
  if (auto plugin = plugins_.target(name)) return Target{std::move(plugin)};
  return std::unexpected(plugins_.not_found(std::string(name)));
}

std::expected<Router::Target, Error> Router::by_service(std::string_view service) const {
  const auto candidates = plugins_.declaring(service);
  if (candidates.size() == 1) return Target{candidates.front()};
  if (candidates.empty()) {
    return std::unexpected(make_error(
        Reason::kServiceNotFound,
        "no plugin declares the service " + shown(service) +
            ". Name the plugin in the metadata `plugind-plugin`, call on its plugin socket, or "
            "list the service in its manifest (services = [...])."));
  }
  return std::unexpected(
      make_error(Reason::kServiceAmbiguous, "several plugins declare the service " +
                                                shown(service) + ": " + names_of(candidates) +
                                                ". Name one in the metadata `plugind-plugin`."));
}

std::expected<Router::Target, Error> Router::for_go_plugin_host(std::string_view service,
                                                                const GoPluginUse& use) const {
  const auto candidates =
      plugins_.declaring(service == kHealth ? plugin::kGoPluginController : service);
  if (candidates.size() == 1) return Target{candidates.front()};
  for (const auto& candidate : candidates) {
    if (candidate->name() == use.plugin()) return Target{candidate};
  }
  if (candidates.empty()) {
    return std::unexpected(make_error(
        Reason::kServiceNotFound,
        "a host of go-plugin calls " + shown(service) +
            ", and no plugin of that dialect is registered. Write dialect = \"go-plugin\" into "
            "the manifest of the plugin that it is to use."));
  }
  return std::unexpected(
      make_error(Reason::kServiceAmbiguous,
                 "a host of go-plugin calls " + shown(service) +
                     ", and its plugin may be any of these: " + names_of(candidates) +
                     ". Attach it to the plugin socket of one, or name one in the metadata "
                     "`plugind-plugin`."));
}

}  // namespace plugind::forward
