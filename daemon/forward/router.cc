#include "daemon/forward/router.h"

#include <utility>

#include "daemon/plugin/printable.h"

namespace plugind::forward {

namespace {

// Of a service that a caller asks for.  It may be as long as a header block.
constexpr std::size_t kShown = 200;

bool is_own_service(std::string_view service) {
  return service.starts_with("plugind.v1.") || service == "grpc.health.v1.Health" ||
         service.starts_with("grpc.reflection.");
}

}  // namespace

std::string_view service_of(std::string_view path) {
  if (path.size() < 3 || path.front() != '/') return {};
  const std::size_t slash = path.find('/', 1);
  if (slash == std::string_view::npos || slash + 1 == path.size()) return {};
  return path.substr(1, slash - 1);
}

std::expected<Router::Target, Error> Router::route(const std::string& bound,
                                                   const wire::HeaderList& headers) const {
  if (!bound.empty()) return by_name(bound);
  if (const std::string_view name = headers.get("plugind-plugin"); !name.empty()) {
    return by_name(name);
  }
  const std::string_view service = service_of(headers.get(":path"));
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
  const std::string quoted = "'" + plugin::printable(service, kShown) + "'";
  if (candidates.empty()) {
    return std::unexpected(make_error(
        Reason::kServiceNotFound,
        "no plugin declares the service " + quoted +
            ". Name the plugin in the metadata `plugind-plugin`, call on its plugin socket, or "
            "list the service in its manifest (services = [...])."));
  }
  std::string names;
  for (const auto& candidate : candidates) {
    names += (names.empty() ? "" : ", ") + candidate->name();
  }
  return std::unexpected(make_error(Reason::kServiceAmbiguous,
                                    "several plugins declare the service " + quoted + ": " + names +
                                        ". Name one in the metadata `plugind-plugin`."));
}

}  // namespace plugind::forward
