// plugind's command line and configuration file.
#pragma once

#include <chrono>
#include <expected>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "daemon/app/host_options.h"

namespace plugind::app {

struct Options {
  std::filesystem::path manifests;    ///< Directory of the manifests; absolute.
  std::string socket;                 ///< Address of the front socket.
  std::filesystem::path runtime_dir;  ///< Absolute; the socket's directory unless given.
  std::filesystem::path log_dir;      ///< Of files with what plugins print; absolute, "" for none.
  std::string log_level = "info";
  std::chrono::microseconds busy_poll{0};  ///< Look so long before a sleep; zero: never.
  std::size_t workers = 1;  ///< Loops that forward, each but the first a thread of its own.
  HostOptions hosts;
  bool lifeline = false;
  bool check = false;
  /// With `check`: what is wrong with these options, a line each.  Those concerned have their
  /// defaults; `socket` is "" then, and `runtime_dir`, too, if it follows from that.
  std::vector<std::string> mistakes;
};

/// The command line asked for nothing but a text (--help, --version) or is wrong: what to print and
/// with which exit code to end.
struct Exit {
  int code = 0;
  std::string text;
};

/// Reads the command line and, with --config, the file; what stands on the command line wins.  An
/// Exit tells all mistakes; but a command line or a file that cannot be read ends it there.
std::variant<Options, Exit> parse_options(int argc, char** argv);

}  // namespace plugind::app
