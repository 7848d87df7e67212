// A program that a test runs: with its output kept, found again when it has ended, and never left
// behind.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace plugind::testing {

/// No step of a test takes longer unless something is broken; machines may be busy.
constexpr std::chrono::seconds kDeadline{30};

/// Asks every few milliseconds until `condition` holds.  False after the deadline.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds deadline = kDeadline);

/// How a program ended: one of the two is set.
struct Exit {
  std::optional<int> code = {};
  std::optional<int> signal = {};
  bool operator==(const Exit&) const = default;
};
std::string describe(const std::optional<Exit>& exit);

class ChildProcess {
 public:
  /// nullopt takes a variable away from what the test's own environment has.
  using Environment = std::map<std::string, std::optional<std::string>>;

  /// Starts it with a pipe as its stdin.  `command` is looked up in PATH.
  explicit ChildProcess(std::vector<std::string> command, const Environment& environment = {});
  /// Kills it if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }
  void write(const std::string& text) const;
  void close_stdin();

  /// Everything it has printed so far.
  std::string out() const;
  std::string err() const;

  /// Waits for its end and reaps it; nullopt when it still runs after the deadline.
  std::optional<Exit> wait(std::chrono::milliseconds deadline = kDeadline);
  bool running();

 private:
  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;  // memfds
  int err_ = -1;
  std::optional<Exit> exit_;
};

/// Runs a program to its end with an empty stdin.
struct Run {
  std::optional<Exit> exit;
  std::string out;
  std::string err;
};
Run run(std::vector<std::string> command, const ChildProcess::Environment& environment = {});

}  // namespace plugind::testing
