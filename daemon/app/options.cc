#include "daemon/app/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <thread>

#include "daemon/app/version.h"
#include "daemon/forward/address.h"
#include "daemon/platform/runtime_dir.h"

namespace plugind::app {

namespace {

constexpr const char* kFooter = R"(
Configuration file (TOML): the long options without the dashes, for example
  manifests = "/etc/plugind/plugins.d"
  log-level = "debug"
  connection-idle-timeout = "10m"

Signals: SIGTERM, SIGINT stop every plugin, then the daemon; SIGHUP reads the
manifests again; SIGQUIT stops everything at once.

Exit status: 0 stopped as asked or --check found nothing; 1 could not start or
--check found mistakes; 2 wrong usage.

Documentation: docs/manifest.md, docs/operations.md. Operate it with pluginctl.)";

/// "0us" to "10ms".
std::optional<std::chrono::microseconds> parse_busy_poll(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{}) return std::nullopt;
  const std::string_view unit(end, text.data() + text.size());
  std::chrono::microseconds time(number);
  if (unit == "ms") time *= 1000;
  if ((unit != "us" && unit != "ms") || time > std::chrono::milliseconds(10)) return std::nullopt;
  return time;
}

constexpr std::size_t kMostWorkers = 64;

/// Half of the processors, as hosts and plugins need the others; more than eight were never needed.
std::size_t usual_workers() {
  return std::clamp<std::size_t>(std::thread::hardware_concurrency() / 2, 1, 8);
}

/// "auto", or "1" to "64".
std::optional<std::size_t> parse_workers(std::string_view text) {
  if (text == "auto") return usual_workers();
  std::size_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (number < 1 || number > kMostWorkers) return std::nullopt;
  return number;
}

}  // namespace

std::variant<Options, Exit> parse_options(int argc, char** argv) {
  Options options;
  std::string manifests = "/etc/plugind/plugins.d";
  std::string runtime_dir;
  std::string log_dir;
  std::string busy_poll = "200us";
  std::string workers = "auto";
  HostOptionTexts hosts;

  CLI::App app("Runs plugins for programs in any language and forwards calls to them.", "plugind");
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("plugind ") + kVersion);
  app.set_config("--config", "", "Read options from this TOML file")->type_name("FILE");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.add_option("--manifests", manifests, "Directory of the plugins' manifests (*.toml)")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--socket", options.socket,
                 "Unix socket to listen on: unix:/path or /path. Default: $PLUGIND_SOCKET, else "
                 "$XDG_RUNTIME_DIR/plugind/plugind.sock, else "
                 "/run/plugind/plugind.sock")
      ->type_name("ADDRESS");
  app.add_option("--runtime-dir", runtime_dir,
                 "Directory for plugin sockets and the instances' files, mode 0700. Default: the "
                 "socket's directory")
      ->type_name("DIR");
  app.add_option(
         "--log-dir", log_dir,
         "Directory of files with what plugins print, NAME.log, mode 0750. Without it there "
         "are none")
      ->type_name("DIR");
  app.add_option("--log-level", options.log_level, "debug, info, warning or error")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--busy-poll", busy_poll,
                 "While calls follow each other one by one, look so long for the next event before "
                 "sleeping, up to 10ms; 0us: never")
      ->type_name("DURATION")
      ->capture_default_str();
  app.add_option("--workers", workers,
                 "Loops that forward calls, each with a thread and a part of the connections, 1 to "
                 "64; auto: half of the processors, at most 8")
      ->type_name("COUNT")
      ->capture_default_str();
  hosts.add_to(app);
  app.add_flag("--lifeline", options.lifeline,
               "Stop everything and exit when stdin is closed, so that a program which starts a "
               "private daemon cannot leave it behind");
  app.add_flag("--check", options.check,
               "Validate configuration and manifests, say all that is wrong, and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    const int code = app.exit(error, out, out);
    return Exit{code == 0 ? 0 : 2, out.str()};
  }

  const auto wrong = [](const std::string& message) {
    return Exit{2, "plugind: " + message + "\nRun with --help for more information.\n"};
  };
  auto parsed = hosts.parse();
  if (!parsed) return wrong(parsed.error());
  options.hosts = std::move(*parsed);
  if (options.socket.empty()) options.socket = platform::default_socket_address();
  const auto address = forward::parse_address(options.socket);
  if (!address) return wrong(address.error().message);
  if (!address->is_unix()) {
    // Any user of the machine could connect there; Unix sockets have an owner.
    return wrong("plugind does not listen on TCP: " + options.socket +
                 " has no owner who could be checked. Use a Unix socket.");
  }
  if (runtime_dir.empty()) {
    runtime_dir = std::filesystem::path(address->path).parent_path();
  }
  options.socket = address->to_string();
  const auto busy_poll_time = parse_busy_poll(busy_poll);
  if (!busy_poll_time) {
    return wrong("--busy-poll takes a time from 0us to 10ms, for example 200us, not \"" +
                 busy_poll + "\".");
  }
  options.busy_poll = *busy_poll_time;
  const auto worker_count = parse_workers(workers);
  if (!worker_count) {
    return wrong("--workers takes a number from 1 to 64, or auto, not \"" + workers + "\".");
  }
  options.workers = *worker_count;
  options.manifests = std::filesystem::absolute(manifests).lexically_normal();
  options.runtime_dir = std::filesystem::absolute(runtime_dir).lexically_normal();
  if (!log_dir.empty()) {
    options.log_dir = (std::filesystem::absolute(log_dir) / "").lexically_normal().parent_path();
  }
  return options;
}

}  // namespace plugind::app
