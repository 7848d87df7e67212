#include <io.h>

#include <cstdio>

#include "client-lib/pluginctl/terminal.h"

namespace plugind::pluginctl {

bool stdin_is_terminal() { return _isatty(_fileno(stdin)) != 0; }
bool stdout_is_terminal() { return _isatty(_fileno(stdout)) != 0; }

}  // namespace plugind::pluginctl
