// The commands of pluginctl, one file a group.  Each function adds its commands to the command
// line; what a chosen one does is called with the session after the line has been parsed.
#pragma once

#include <functional>

#include "client-lib/pluginctl/failure.h"
#include "client-lib/pluginctl/session.h"

namespace CLI {
class App;
}

namespace plugind::pluginctl {

using Action = std::function<Result<>(Session&)>;
using Choose = std::function<void(Action)>;

void add_list(CLI::App& app, const Choose& choose);
void add_status(CLI::App& app, const Choose& choose);
/// start, stop, restart, upgrade
void add_lifecycle(CLI::App& app, const Choose& choose);
void add_crashes(CLI::App& app, const Choose& choose);
void add_logs(CLI::App& app, const Choose& choose);
void add_doctor(CLI::App& app, const Choose& choose);
void add_events(CLI::App& app, const Choose& choose);
void add_call(CLI::App& app, const Choose& choose);
/// reload, version
void add_daemon(CLI::App& app, const Choose& choose);

}  // namespace plugind::pluginctl
