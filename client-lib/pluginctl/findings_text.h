// Findings as `doctor` shows them.
#pragma once

#include <string>

#include "plugind/v1/plugin_host.pb.h"

namespace plugind::pluginctl {

/// Two lines a finding, the second with what to do, then one with how many there are.  `plugin`:
/// the one that was looked at; "" for all and the daemon.
std::string findings_text(const v1::DiagnoseResponse& diagnosis, const std::string& plugin,
                          bool colour);

/// Whether something is wrong: an error is among them.
bool has_errors(const v1::DiagnoseResponse& diagnosis);

}  // namespace plugind::pluginctl
