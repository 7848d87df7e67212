// What an answer's headers say about the outcome of a call.
#pragma once

#include <cstdint>

#include "client-lib/src/error.h"
#include "proto/wire/header_list.h"

namespace plugind::client {

/// Null when these response headers begin an answer of gRPC; otherwise the error that gRPC's
/// http-grpc-status-mapping gives them.  Headers that carry a grpc-status are gRPC whatever else
/// they say.
pd_error* check_response(const wire::HeaderList& headers);

/// The outcome in the last header block of an answer: null for OK.
pd_error* read_status(const wire::HeaderList& headers);

/// The outcome of a stream that was reset, as gRPC's PROTOCOL-HTTP2.md maps it.
pd_error* make_reset_error(std::uint32_t http2_error);

}  // namespace plugind::client
