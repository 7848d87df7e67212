// pd_options.
#pragma once

#include <cstdint>

#include "client-lib/include/plugind/plugind.h"
#include "proto/wire/header_list.h"

struct pd_options {
  std::int64_t timeout_ms = 0;
  plugind::wire::HeaderList metadata;  // As it goes on the wire: "-bin" values are base64.
  std::size_t metadata_size = 0;
};
