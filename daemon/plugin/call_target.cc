#include "daemon/plugin/call_target.h"

#include "daemon/plugin/printable.h"

namespace plugind::plugin {

std::pair<std::string_view, std::string_view> split_version(std::string_view name) {
  const auto at = name.find('@');
  if (at == std::string_view::npos) return {name, {}};
  return {name.substr(0, at), name.substr(at + 1)};
}

bool spreads_calls(const Manifest& manifest) {
  return manifest.instances > 1 || manifest.calls_per_instance > 0;
}

Error too_many_calls(const Manifest& manifest) {
  return {Reason::kTooManyCalls,
          std::to_string(manifest.calls_max_concurrent) + " calls of plugin '" + manifest.name +
              "' are in progress already (calls.max_concurrent). Call less at once, or raise the "
              "bound.",
          {{"plugin", manifest.name}}};
}

Error no_such_plugin(const std::string& name, const std::string& known) {
  // It comes from a caller's metadata, so it may be long and need not be text.
  const std::string shown = printable(name, 200);
  return {Reason::kPluginNotFound,
          "no plugin '" + shown + "' is registered; " +
              (known.empty() ? "there is none at all" : "there are: " + known) + ".",
          {{"plugin", shown}}};
}

}  // namespace plugind::plugin
