// Runs the built pluginctl as a user does.
#pragma once

#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace plugind::pluginctl {

/// How a run ended and what it printed.
struct Outcome {
  int exit_code = -1;  ///< -1: it did not end by itself
  std::string out;
  std::string err;
};

class Program {
 public:
  using Environment = testing::ChildProcess::Environment;

  /// It finds a daemon only where `environment` or `arguments` say.
  Program(std::vector<std::string> arguments, Environment environment);

  void write(const std::string& text) { process_.write(text); }
  /// The next line of stdout without its end; "" when it has ended without one.
  std::string read_line();
  /// Stops it like ^Z: it neither reads nor writes until it is killed.
  void suspend() { process_.signal(SIGSTOP); }
  /// Waits for its end.  `out` is what read_line has not given.
  Outcome wait();
  /// The same after the end of its input.
  Outcome finish();

 private:
  testing::ChildProcess process_;
  std::size_t seen_ = 0;
};

/// Runs to the end.
Outcome run(std::vector<std::string> arguments, Program::Environment environment = {},
            const std::string& input = "");

/// The same on a terminal of its own, without TERM and NO_COLOR unless `environment` has them:
/// `out` is what it shows of stdout and stderr, with line ends as they were written.
Outcome run_on_terminal(std::vector<std::string> arguments, Program::Environment environment = {});

}  // namespace plugind::pluginctl
