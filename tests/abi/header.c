/* The public header alone, as strict C99 (see meson.build). */
#include "plugind/plugind.h"

const char* header_c_version(void);
const char* header_c_version(void) { return PD_VERSION; }
