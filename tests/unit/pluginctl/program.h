// Runs the built pluginctl as a user does.
#pragma once

#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace plugind::pluginctl {

/// How a run ended and what it printed.
struct Outcome {
  int exit_code = -1;  ///< -1: ended by a signal
  std::string out;
  std::string err;
};

/// One running pluginctl.  Killed by the destructor if it still runs.
class Program {
 public:
  using Environment = std::map<std::string, std::string>;

  /// The environment is `environment` alone, plus TZ=UTC.
  Program(std::vector<std::string> arguments, Environment environment);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void write(const std::string& text);
  void close_stdin();
  /// The next line of stdout without its end; "" at the end.
  std::string read_line();
  /// Stops it like ^Z: it neither reads nor writes until it is killed.
  void suspend();
  /// Closes stdin, reads the rest of stdout and waits.
  Outcome wait();

 private:
  int pid_ = -1;
  std::FILE* in_ = nullptr;
  std::FILE* out_ = nullptr;
  std::FILE* err_ = nullptr;  ///< A temporary file.
};

/// Runs to the end.
Outcome run(std::vector<std::string> arguments, Program::Environment environment = {},
            const std::string& input = "");

}  // namespace plugind::pluginctl
