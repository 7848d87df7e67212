// Why a program could not be started, in words that say what to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "daemon/error.h"
#include "daemon/platform/linux/clone_exec.h"

namespace plugind::platform {

/// `executable` and `directory` as they were asked for; `error` is the errno met at `stage`; `uid`
/// of whom the program was to be.
Error explain_spawn_failure(const std::string& executable, const std::string& directory,
                            SpawnStage stage, int error, std::optional<std::uint32_t> uid = {});

/// The daemon may not make `executable` a program of `uid`.
Error user_refused(const std::string& executable, std::uint32_t uid, int error);

}  // namespace plugind::platform
