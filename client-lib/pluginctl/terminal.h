// What pluginctl's standard streams are.
#pragma once

namespace plugind::pluginctl {

bool stdin_is_terminal();
bool stdout_is_terminal();

}  // namespace plugind::pluginctl
