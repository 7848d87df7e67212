// What a look at a plugin or at the daemon has found: for people, and for programs.
#pragma once

#include <string>

#include "daemon/error.h"

namespace plugind::plugin {

enum class Severity {
  kNote,     ///< Good to know.
  kWarning,  ///< It works, and not as the manifest or the operator may think.
  kError,    ///< Something does not work, or will not at the next start.
};

struct Finding {
  Severity severity = Severity::kError;
  std::string check;   ///< What was looked at, such as "program"; listed in docs/pluginctl.md.
  std::string plugin;  ///< Its name; "" for the daemon itself.
  std::string what;    ///< A sentence: what was found.
  std::string remedy;  ///< What to do; "" if there is nothing to say.

  bool operator==(const Finding&) const = default;
};

/// An Error as a finding.  The remedy is not told twice.
Finding finding_of(std::string check, const Error& error, Severity severity = Severity::kError);

}  // namespace plugind::plugin
