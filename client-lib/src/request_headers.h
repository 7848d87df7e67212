// The header block of a call.
#pragma once

#include "client-lib/src/client.h"
#include "proto/wire/header_list.h"

namespace plugind::client {

/// Null, or the error when the request names a method or plugin that cannot exist.
pd_error* fill_request_headers(const Client::Request& request, wire::HeaderList& headers);

}  // namespace plugind::client
