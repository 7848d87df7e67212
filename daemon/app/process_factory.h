// plugin::ProcessFactory on the platform's processes.
#pragma once

#include <memory>

#include "daemon/platform/process_tree.h"
#include "daemon/plugin/process.h"

namespace plugind::app {

/// `trees` outlives the factory and every process that it spawns.
std::unique_ptr<plugin::ProcessFactory> make_process_factory(platform::ProcessTrees& trees);

}  // namespace plugind::app
