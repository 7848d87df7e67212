#include <plugind/plugind.h>
#include <CLI/CLI.hpp>

#include <iostream>

#include "client-lib/pluginctl/commands.h"
#include "client-lib/pluginctl/text.h"

namespace plugind::pluginctl {
namespace {

template <class Names>
void print_names(const char* what, const Names& names) {
  for (const std::string& name : names) std::cout << what << " " << printable(name) << "\n";
}

Result<> reload(Session& session) {
  v1::ReloadManifestsResponse response;
  const auto status =
      session.control().ReloadManifests(session.context(kPromptly).get(), {}, &response);
  if (!status.ok()) return result_of(status);
  if (session.json()) {
    session.print_json(response);
    return {};
  }
  print_names("added", response.added());
  print_names("changed", response.changed());
  print_names("removed", response.removed());
  if (response.added().empty() && response.changed().empty() && response.removed().empty()) {
    std::cout << "nothing has changed\n";
  }
  return {};
}

Result<> version(Session& session) {
  if (!session.json()) std::cout << "pluginctl " PD_VERSION "\n" << std::flush;
  if (auto connected = session.connect(); !connected) return connected;
  v1::GetDaemonInfoResponse response;
  const auto status =
      session.control().GetDaemonInfo(session.context(kPromptly).get(), {}, &response);
  if (!status.ok()) return result_of(status);
  const v1::DaemonInfo& daemon = response.daemon();
  if (session.json()) {
    session.print_json(daemon);
    return {};
  }
  std::cout << "plugind   " << printable(daemon.version()) << "\n"
            << "  pid:          " << daemon.pid() << "\n"
            << "  started:      " << time_text(daemon.start_time()) << " ("
            << age_text(daemon.start_time(), std::chrono::system_clock::now()) << ")\n"
            << "  socket:       " << printable(daemon.socket()) << "\n"
            << "  runtime dir:  " << printable(daemon.runtime_dir()) << "\n"
            << "  manifest dir: " << printable(daemon.manifest_dir()) << "\n"
            << "  plugins:      " << daemon.plugins() << "\n"
            << "  instances:    " << daemon.instances() << "\n"
            << "  connections:  " << daemon.connections() << "\n";
  if (daemon.resident_bytes() != 0) {
    std::cout << "  memory:       " << size_text(daemon.resident_bytes()) << "\n";
  }
  return {};
}

}  // namespace

void add_daemon(CLI::App& app, const Choose& choose) {
  app.add_subcommand("reload", "Read the manifests again")->callback([choose] { choose(reload); });
  app.add_subcommand("version", "Versions, addresses and counts")->callback([choose] {
    choose(version);
  });
}

}  // namespace plugind::pluginctl
