// The go-plugin dialect: plugins built with hashicorp/go-plugin that serve gRPC.
#pragma once

#include <memory>

#include "daemon/plugin/dialect.h"

namespace plugind::dialect {

std::unique_ptr<plugin::Dialect> make_go_plugin_dialect();

}  // namespace plugind::dialect
