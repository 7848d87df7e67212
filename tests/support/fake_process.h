// Processes that a test plays: what they print, when they end, how they take a signal.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugin/gate.h"
#include "daemon/plugin/process.h"

namespace plugind::testing {

/// One process as the test sees it; outlives the plugin::Process that the code under test holds.
class FakeProcess {
 public:
  plugin::ProcessSpec spec;
  std::int64_t pid = 0;

  // How it behaves.
  bool ends_on_terminate = true;
  std::optional<plugin::StopSignal> ends_on;  ///< Another one that its whole tree ends on.
  std::vector<std::int64_t> grandchildren;    ///< Outlive the first process until kill_tree().
  bool ends_late = false;                     ///< After kill_tree(), when end_tree() says so.

  // What was done to it.
  std::vector<plugin::StopSignal> signals;  ///< signal_tree(), in order.
  int terminated = 0;                       ///< SIGTERM so often.
  int killed = 0;                           ///< kill_tree() so often.
  bool destroyed = false;                   ///< The plugin::Process is gone.
  std::optional<plugin::ExitStatus> status;

  /// Prints.  Nothing reaches a destroyed Process's owner.
  void print(plugin::OutputStream stream, std::string_view bytes);
  void print_stdout(std::string_view bytes) { print(plugin::OutputStream::kStdout, bytes); }
  void print_stderr(std::string_view bytes) { print(plugin::OutputStream::kStderr, bytes); }
  void exit(int code);
  void die(int signal);
  void end(plugin::ExitStatus how);
  /// All that lives of the tree ends, by SIGKILL as far as anybody can tell.
  void end_tree();

  bool alive() const { return !status; }
  /// Nothing of the tree lives.
  bool gone() const { return status && grandchildren.empty(); }
  /// The value of a variable in its environment.
  std::optional<std::string> variable(std::string_view name) const;

 private:
  friend class FakeProcessHandle;

  plugin::Gate ended_;
  plugin::Gate tree_gone_;
};

class FakeProcessFactory : public plugin::ProcessFactory {
 public:
  std::expected<std::unique_ptr<plugin::Process>, Error> spawn(plugin::ProcessSpec spec) override;

  std::expected<plugin::Rehearsal, Error> rehearse(plugin::ProcessSpec spec) override;

  boost::asio::awaitable<std::expected<std::shared_ptr<const plugin::PinnedProgram>, Error>> pin(
      std::string executable, std::string sha256) override;

  /// What was to be rehearsed, and what that finds.
  std::vector<plugin::ProcessSpec> rehearsed;
  std::expected<plugin::Rehearsal, Error> rehearsal = plugin::Rehearsal{};
  /// What was to be pinned: "EXECUTABLE SHA256".
  std::vector<std::string> pinned;
  /// The next pin() fails with it.
  std::optional<Error> next_pin_error;
  /// Called with each new process before spawn() returns: set its behaviour here.
  std::function<void(FakeProcess&)> on_spawn;
  /// The next spawn() fails with it.
  std::optional<Error> next_error;
  /// Every process so far, the oldest first.
  std::vector<std::shared_ptr<FakeProcess>> spawned;

  FakeProcess& last() { return *spawned.back(); }
  /// How many trees still live.
  std::size_t living() const;
};

}  // namespace plugind::testing
