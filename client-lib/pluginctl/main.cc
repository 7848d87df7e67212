// pluginctl, the operator's command.
#include <grpc/support/log.h>
#include <plugind/plugind.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "client-lib/pluginctl/commands.h"

namespace plugind::pluginctl {
namespace {

int exit_code(ExitCode code) { return static_cast<int>(code); }

/// Ends the process at once: a thread of `call` may be waiting for standard input.
[[noreturn]] void leave(ExitCode code) {
  std::cout.flush();
  std::cerr.flush();
  std::_Exit(exit_code(code));
}

Result<> run(const Options& options, const Action& action, bool connects_itself) {
  auto session = Session::make(options);
  if (!session) return std::unexpected(session.error());
  if (!connects_itself) {
    if (auto connected = (*session)->connect(); !connected) return connected;
  }
  return action(**session);
}

int run_command_line(int argc, char** argv) {
  Options options;
  Action action;
  CLI::App app("Operate plugind, the plugin daemon.", "pluginctl");
  app.set_version_flag("--version", "pluginctl " PD_VERSION);
  app.add_option("--socket", options.socket,
                 "Where the daemon listens: unix:/path, tcp:HOST:PORT or an absolute path.  "
                 "Default: $PLUGIND_SOCKET, else $XDG_RUNTIME_DIR/plugind/plugind.sock, else "
                 "/run/plugind/plugind.sock")
      ->option_text("ADDRESS");
  app.add_option("--timeout", options.timeout, "How long an answer may take, such as 500ms or 2m")
      ->option_text("DURATION");
  app.add_flag("--json", options.json, "Print JSON, one value a line, errors included");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(exit_code_help());

  const Choose choose = [&](Action chosen) { action = std::move(chosen); };
  add_list(app, choose);
  add_status(app, choose);
  add_lifecycle(app, choose);
  add_logs(app, choose);
  add_crashes(app, choose);
  add_call(app, choose);
  add_events(app, choose);
  add_doctor(app, choose);
  add_daemon(app, choose);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return exit_code(ExitCode::kUsage);
  }
  const bool connects_itself = app.got_subcommand("version") || app.got_subcommand("doctor");
  const auto done = run(options, action, connects_itself);
  if (done) leave(ExitCode::kOk);
  std::cout.flush();
  if (!done.error().message.empty()) {
    std::cerr << describe(done.error(), options.json) << std::endl;
  }
  leave(done.error().exit);
}

}  // namespace
}  // namespace plugind::pluginctl

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  // `call` reads on one thread and prints on another; reading must not flush what is being printed.
  std::cin.tie(nullptr);
  // What gRPC has to say about a failed connection is said by us.
  gpr_set_log_function([](gpr_log_func_args*) {});
  return plugind::pluginctl::run_command_line(argc, argv);
}
