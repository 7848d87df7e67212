// One table of a manifest's list `stop.steps`.
#pragma once

#include <optional>
#include <vector>

#include "daemon/plugin/manifest.h"
#include "daemon/plugin/manifest_parser.h"
#include "daemon/plugin/toml_text.h"

namespace plugind::plugin {

/// Nothing if something is wrong with it, which is added to `mistakes`.
std::optional<StopStep> read_stop_step(const toml::table& table, std::vector<Mistake>& mistakes);

}  // namespace plugind::plugin
