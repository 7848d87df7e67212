// The states of an instance and the ways between them.  docs/lifecycle.md is drawn from here.
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
std::span<const Transition> transitions();
bool may_follow(InstanceState from, InstanceState to);

/// The table of docs/lifecycle.md, in Markdown.
std::string transition_table();

}  // namespace plugind::plugin
