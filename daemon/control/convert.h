// The domain's types as messages of the control API.
#pragma once

#include <string>

#include "daemon/control/hooks.h"
#include "daemon/plugin/crash_report.h"
#include "daemon/plugin/event.h"
#include "daemon/plugin/manifest.h"
#include "daemon/plugin/output_log.h"
#include "daemon/plugin/supervisor.h"
#include "plugind/v1/crash.pb.h"
#include "plugind/v1/daemon.pb.h"
#include "plugind/v1/event.pb.h"
#include "plugind/v1/finding.pb.h"
#include "plugind/v1/log.pb.h"
#include "plugind/v1/plugin.pb.h"
#include "plugind/v1/plugin_host.pb.h"

namespace plugind::control {

v1::InstanceState to_proto(plugin::InstanceState state);
v1::Manifest to_proto(const plugin::Manifest& manifest);
v1::Instance to_proto(const plugin::InstanceStatus& instance);
v1::Plugin to_proto(const plugin::PluginStatus& status);
v1::Crash to_proto(const plugin::CrashReport& report);
v1::LogLine to_proto(const plugin::LogLine& line);
v1::Event to_proto(const plugin::Event& event);
v1::ReloadManifestsResponse to_proto(const plugin::ReloadSummary& summary);
v1::DiagnoseResponse to_proto(const Diagnosis& diagnosis);
/// All but the counts of plugins and instances.
v1::DaemonInfo to_proto(const DaemonFacts& facts);

}  // namespace plugind::control
