#include "daemon/plugin/finding.h"

#include <utility>

namespace plugind::plugin {

Finding finding_of(std::string check, const Error& error, Severity severity) {
  Finding finding{severity, std::move(check), {}, error.message, error.remedy};
  if (!error.remedy.empty() && finding.what.ends_with(error.remedy)) {
    finding.what.resize(finding.what.size() - error.remedy.size());
    finding.what.resize(finding.what.find_last_not_of(" ;:.") + 1);
  }
  return finding;
}

}  // namespace plugind::plugin
