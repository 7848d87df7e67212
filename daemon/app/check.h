// --check: what is wrong, told without a start.
#pragma once

#include <string>
#include <vector>

#include "daemon/app/options.h"

namespace plugind::app {

/// All that a start with these options would be refused for, as far as looking tells, for the user
/// who asks: options.mistakes, then manifests, sockets and directories.  Each entry is a line, or
/// lines, for the user.  Makes and changes nothing.
std::vector<std::string> check(const Options& options);

}  // namespace plugind::app
