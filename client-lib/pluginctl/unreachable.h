// Why no daemon answers, as far as it can be seen from here.
#pragma once

#include <string>
#include <vector>

#include "client-lib/pluginctl/address.h"
#include "plugind/v1/plugin_host.pb.h"

namespace plugind::pluginctl {

struct Obstacle {
  std::string what;    ///< A sentence that goes after "no plugind answers at ADDRESS: ".
  std::string remedy;  ///< What to do.
};

/// Looks at a Unix socket to which no daemon answered, and connects to it once more.
Obstacle find_obstacle(const std::string& path);

/// Whether there is a socket at the path.
bool is_socket(const std::string& path);

/// As the daemon would answer if it were there.  `given`: the address was named with --socket.
v1::DiagnoseResponse diagnose_silence(const Address& address, bool given);

}  // namespace plugind::pluginctl
