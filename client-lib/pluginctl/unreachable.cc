#include "client-lib/pluginctl/unreachable.h"

#include <cstdlib>

namespace plugind::pluginctl {
namespace {

constexpr const char* kStart =
    "start it with 'plugind' or 'systemctl --user start plugind', or say where it listens with "
    "--socket or PLUGIND_SOCKET";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

v1::Finding& add(v1::DiagnoseResponse& diagnosis, v1::Severity severity, std::string what,
                 std::string remedy) {
  v1::Finding& finding = *diagnosis.add_findings();
  finding.set_severity(severity);
  finding.set_check("daemon");
  finding.set_what(std::move(what));
  finding.set_remedy(std::move(remedy));
  return finding;
}

/// Where the address comes from.
std::string origin(bool given) {
  if (given) return "--socket";
  if (!variable("PLUGIND_SOCKET").empty()) return "PLUGIND_SOCKET";
  if (variable("XDG_RUNTIME_DIR").starts_with('/')) return "XDG_RUNTIME_DIR";
  return "no PLUGIND_SOCKET and no XDG_RUNTIME_DIR, which sudo and cron clear";
}

}  // namespace

v1::DiagnoseResponse diagnose_silence(const Address& address, bool given) {
  v1::DiagnoseResponse diagnosis;
  const Obstacle obstacle = address.path.empty() ? Obstacle{"nothing answers there", kStart}
                                                 : find_obstacle(address.path);
  add(diagnosis, v1::SEVERITY_ERROR,
      "no plugind answers at " + address.text + " (from " + origin(given) + "): " + obstacle.what,
      obstacle.remedy.empty() ? kStart : obstacle.remedy);
  if (given) return diagnosis;
  for (const std::string& directory : {variable("XDG_RUNTIME_DIR"), std::string("/run")}) {
    const std::string other = directory + "/plugind/plugind.sock";
    if (!directory.starts_with('/') || other == address.path || !is_socket(other)) continue;
    add(diagnosis, v1::SEVERITY_NOTE, "there is another socket, " + other,
        "if that is the one: --socket " + other);
  }
  return diagnosis;
}

}  // namespace plugind::pluginctl
