// The daemon's errors as gRPC statuses.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "daemon/error.h"

namespace plugind::control {

/// `error` as a status with google.rpc.ErrorInfo (domain "plugind") in its details.  `plugin` is
/// the name that the call gave, "" if it gave none; it becomes the metadata "plugin" unless the
/// error has its own.  What would not fit into the 8 KiB of metadata that gRPC stacks take is cut
/// short.
grpc::Status to_rpc_status(const Error& error, const std::string& plugin = {});

}  // namespace plugind::control
