// The daemon's own answers to calls: a gRPC status with its details, as header fields.
#pragma once

#include <string_view>

#include "daemon/error.h"
#include "proto/wire/header_list.h"

namespace plugind::forward {

/// Adds grpc-status, grpc-message and grpc-status-details-bin (google.rpc.Status with one
/// google.rpc.ErrorInfo, domain "plugind").
void add_status(wire::HeaderList& headers, const Error& error);

/// The header block of a trailers-only response, but for the status: ":status: 200" and the
/// content type.
void add_response_start(wire::HeaderList& headers);

/// A plain HTTP answer for what is not gRPC.
void add_http_status(wire::HeaderList& headers, std::string_view http_status);

}  // namespace plugind::forward
