// Request metadata given as -H name:value.
#pragma once

#include <grpcpp/client_context.h>

#include <string>
#include <utility>
#include <vector>

#include "client-lib/pluginctl/failure.h"

namespace plugind::pluginctl {

using Metadata = std::vector<std::pair<std::string, std::string>>;

/// Names become lower case; the value of a name that ends in "-bin" is base64.
Result<Metadata> parse_metadata(const std::vector<std::string>& headers);
void add_metadata(const Metadata& metadata, grpc::ClientContext& context);

}  // namespace plugind::pluginctl
