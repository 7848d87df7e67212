// What stands in the way of a start, found without starting anything of the plugin.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <vector>

#include "daemon/dialect/launch.h"
#include "daemon/plugin/dialect.h"
#include "daemon/plugin/finding.h"

namespace plugind::dialect {

/// plugin::Dialect::examine() for a process with these wishes: what the manifest requires, program
/// and checksum, everything up to the program's first instruction, and its shared libraries.
boost::asio::awaitable<std::vector<plugin::Finding>> examine_launch(plugin::StartContext context,
                                                                    ProcessWishes wishes);

}  // namespace plugind::dialect
