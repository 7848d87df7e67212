#include <cstdio>
#include <variant>

#include "daemon/app/check.h"
#include "daemon/app/daemon.h"
#include "daemon/app/logging.h"
#include "daemon/app/options.h"
#include "daemon/platform/guardian.h"
#include "daemon/platform/service_notify.h"
#include "daemon/platform/signals.h"

namespace {

int fail(const plugind::Error& error) {
  plugind::app::log_error(
      "start-failed",
      {{"reason", std::string(plugind::reason_name(error.reason))}, {"detail", error.message}});
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace plugind;
  const auto parsed = app::parse_options(argc, argv);
  if (const auto* exit = std::get_if<app::Exit>(&parsed)) {
    std::fputs(exit->text.c_str(), exit->code == 0 ? stdout : stderr);
    return exit->code;
  }
  const app::Options& options = std::get<app::Options>(parsed);
  if (options.check) {
    const auto mistakes = app::check(options);
    for (const std::string& mistake : mistakes) std::fprintf(stderr, "%s\n", mistake.c_str());
    if (!mistakes.empty()) return options.mistakes.empty() ? 1 : 2;
    std::printf("%s: all manifests are valid\n", options.manifests.c_str());
    return 0;
  }

  app::set_up_logging(options.log_level);
  auto notifier = platform::ServiceNotifier::from_environment();
  // Both before any thread exists: the guardian is a fork, and threads inherit the mask.
  if (auto guarded = platform::become_guarded(); !guarded) return fail(guarded.error());
  if (auto blocked = platform::block_signals(); !blocked) return fail(blocked.error());

  app::Daemon daemon(options, std::move(notifier));
  if (auto started = daemon.start(); !started) return fail(started.error());
  if (auto served = daemon.run(); !served) return fail(served.error());
  return 0;
}
