// A crash report as `crashes` shows it.
#pragma once

#include <chrono>
#include <string>

#include "plugind/v1/crash.pb.h"

namespace plugind::pluginctl {

std::string crash_text(const v1::Crash& crash, std::chrono::system_clock::time_point now,
                       bool colour);

}  // namespace plugind::pluginctl
