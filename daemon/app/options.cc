#include "daemon/app/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "daemon/app/version.h"
#include "daemon/app/worker_count.h"
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
--check found mistakes; 2 wrong options, also with --check.

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

/// The configuration file.  CLI11 would stop at the first name that is no option; this collects
/// them.
class OptionFile final : public CLI::ConfigTOML {
 public:
  OptionFile(const CLI::App& app, std::vector<std::string>& unknown)
      : app_(app), unknown_(unknown) {}
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    auto items = CLI::ConfigTOML::from_config(input);
    std::erase_if(items, [this](const CLI::ConfigItem& item) {
      const bool begins = item.name == "++", ends = item.name == "--";  // Of a [section].
      if (item.parents.empty() && app_.get_option_no_throw("--" + item.name) != nullptr) {
        return false;
      }
      if (!begins && !ends) unknown_.push_back(item.fullname());
      return true;
    });
    return items;
  }

 private:
  const CLI::App& app_;
  std::vector<std::string>& unknown_;
};

/// Sets the address of the front socket and the runtime directory, or says what is wrong with them.
std::optional<std::string> set_addresses(Options& options, const std::string& runtime_dir) {
  const auto set_runtime_dir = [&](const std::filesystem::path& path) {
    options.runtime_dir = std::filesystem::absolute(path).lexically_normal();
  };
  if (!runtime_dir.empty()) set_runtime_dir(runtime_dir);
  const std::string text = options.socket.empty() ? platform::default_socket_address()
                                                  : std::exchange(options.socket, "");
  const auto address = forward::parse_address(text);
  if (!address) return address.error().message;
  if (!address->is_unix()) {
    // Any user of the machine could connect there; Unix sockets have an owner.
    return "plugind does not listen on TCP: " + text +
           " has no owner who could be checked. Use a Unix socket.";
  }
  options.socket = address->to_string();
  if (runtime_dir.empty()) set_runtime_dir(std::filesystem::path(address->path).parent_path());
  return std::nullopt;
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
  std::vector<std::string> unknown;
  app.config_formatter(std::make_shared<OptionFile>(app, unknown));
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
               "Look at options, manifests, sockets and directories, say all that a start would be "
               "refused for, and exit");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    const int code = app.exit(error, out, out);
    return Exit{code == 0 ? 0 : 2, out.str()};
  }

  std::vector<std::string> mistakes;
  for (const std::string& name : unknown) {
    mistakes.push_back("the configuration file has `" + name + "`, which is no option");
  }
  options.hosts = hosts.parse(mistakes);
  if (const auto mistake = set_addresses(options, runtime_dir)) mistakes.push_back(*mistake);
  constexpr std::array kLevels{"debug", "info", "warning", "error"};
  if (std::ranges::find(kLevels, options.log_level) == kLevels.end()) {
    mistakes.push_back("--log-level takes debug, info, warning or error, not \"" +
                       options.log_level + "\".");
  }
  if (const auto time = parse_busy_poll(busy_poll)) {
    options.busy_poll = *time;
  } else {
    mistakes.push_back("--busy-poll takes a time from 0us to 10ms, for example 200us, not \"" +
                       busy_poll + "\".");
  }
  if (const auto count = parse_workers(workers, std::thread::hardware_concurrency())) {
    options.workers = *count;
  } else {
    mistakes.push_back("--workers takes a number from 1 to 64, or auto, not \"" + workers + "\".");
  }
  options.manifests = std::filesystem::absolute(manifests).lexically_normal();
  if (!log_dir.empty()) {
    options.log_dir = (std::filesystem::absolute(log_dir) / "").lexically_normal().parent_path();
  }
  for (std::string& mistake : mistakes) mistake.insert(0, "plugind: ");
  if (!mistakes.empty() && !options.check) {
    std::string text;
    for (const std::string& mistake : mistakes) text += mistake + "\n";
    return Exit{2, text + "Run with --help for more information.\n"};
  }
  options.mistakes = std::move(mistakes);
  return options;
}

}  // namespace plugind::app
