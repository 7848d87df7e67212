// The numbers of the signals of signals.h.
#pragma once

#include "daemon/platform/signals.h"

namespace plugind::platform {

/// SIGTERM and the like, as kill(2) takes them.
int signal_number(Signal signal);

}  // namespace plugind::platform
