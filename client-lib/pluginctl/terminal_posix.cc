#include <unistd.h>

#include "client-lib/pluginctl/terminal.h"

namespace plugind::pluginctl {

bool stdin_is_terminal() { return isatty(STDIN_FILENO) == 1; }
bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }

}  // namespace plugind::pluginctl
