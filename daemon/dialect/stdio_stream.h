// plugin.GRPCStdio/StreamStdio: what a go-plugin plugin prints after its handshake.
#pragma once

#include <string>

#include "daemon/plugin/clock.h"
#include "daemon/plugin/connection.h"
#include "daemon/plugin/output_log.h"

namespace plugind::dialect {

/// Opens the stream and copies it into the log for as long as the connection lives.  A plugin that
/// has no such stream is fine.  Log and clock outlive the connection.
void copy_stdio(plugin::Connection& connection, std::string instance, plugin::OutputLog& log,
                plugin::Clock& clock);

}  // namespace plugind::dialect
