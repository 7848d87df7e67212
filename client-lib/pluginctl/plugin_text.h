// A plugin as `status` shows it.
#pragma once

#include <chrono>
#include <string>

#include "plugind/v1/plugin.pb.h"

namespace plugind::pluginctl {

std::string plugin_text(const v1::Plugin& plugin, std::chrono::system_clock::time_point now,
                        bool colour);

}  // namespace plugind::pluginctl
