// One table of a manifest's list `requires`.
#pragma once

#include <vector>

#include "daemon/plugin/manifest.h"
#include "daemon/plugin/manifest_parser.h"
#include "daemon/plugin/toml_text.h"

namespace plugind::plugin {

/// Paths in it are as they stand.  Adds what is wrong with it to `mistakes`; the result is of use
/// only if nothing is.
Requirement read_requirement(const toml::table& table, std::vector<Mistake>& mistakes);

}  // namespace plugind::plugin
