// Why a program could not be started, in words that say what to do.
#pragma once

#include <string>

#include "daemon/error.h"
#include "daemon/platform/linux/clone_exec.h"

namespace plugind::platform {

/// `executable` and `directory` as they were asked for; `error` is the errno met at `stage`.
Error explain_spawn_failure(const std::string& executable, const std::string& directory,
                            SpawnStage stage, int error);

}  // namespace plugind::platform
