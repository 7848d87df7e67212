// The states of instances and of plugins, and the ways between them.  docs/lifecycle.md is drawn
// from here.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "daemon/plugin/event.h"

namespace plugind::plugin {

struct Transition {
  InstanceState from;
  InstanceState to;
  std::string_view when;  ///< A clause for docs/lifecycle.md.
};

/// Every one that an instance may make.  It begins in kStarting.
std::span<const Transition> instance_transitions();
bool may_follow(std::span<const Transition> all, InstanceState from, InstanceState to);

/// Every one of a plugin while it has no instance, or the last one has just ended: kStarting is
/// that of its next instance.
std::span<const Transition> plugin_transitions();

/// The pictures and tables of docs/lifecycle.md, in Markdown.
std::string instance_states_text();
std::string plugin_states_text();

}  // namespace plugind::plugin
