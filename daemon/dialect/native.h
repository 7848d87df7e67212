// The native dialect: any gRPC server that can listen on the address it is given.
#pragma once

#include <memory>

#include "daemon/plugin/dialect.h"

namespace plugind::dialect {

std::unique_ptr<plugin::Dialect> make_native_dialect();

}  // namespace plugind::dialect
