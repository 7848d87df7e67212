// The public header alone, as strict C++11 (see meson.build), and twice.
#include "plugind/plugind.h"

const char* header_cc_version();
const char* header_cc_version() { return PD_VERSION; }
