// The facade of the domain: every registered plugin, and what operators may do to them.
// Lives on the loop; every function is called there and every callback is made there.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/call_target.h"
#include "daemon/plugin/clock.h"
#include "daemon/plugin/connection.h"
#include "daemon/plugin/crash_report.h"
#include "daemon/plugin/dialect.h"
#include "daemon/plugin/event.h"
#include "daemon/plugin/manifest.h"
#include "daemon/plugin/output_files.h"
#include "daemon/plugin/output_log.h"
#include "daemon/plugin/process.h"

namespace plugind::plugin {

class Plugin;

struct InstanceStatus {
  std::string id;  ///< "NAME#3"
  InstanceState state = InstanceState::kStarting;
  std::string cause;  ///< Why it is in that state.
  std::chrono::system_clock::time_point since;
  std::int64_t pid = 0;
  std::vector<std::int64_t> tree;  ///< pids of the living processes
  std::int64_t host_pid = 0;       ///< The host that a host-scoped instance serves; 0 otherwise.
  std::uint64_t calls = 0;         ///< Calls forwarded to it.
  std::uint64_t calls_in_flight = 0;
  std::uint32_t protocol_version = 0;
  std::vector<HeldLimit> limits;  ///< What holds each limit of the manifest.
  bool spare = false;             ///< It serves no host yet.
  std::optional<CurrentUse> use;  ///< Absent where it is not known.
};

/// The last crash report, in short.
struct CrashSummary {
  std::chrono::system_clock::time_point time;
  std::string message;  ///< A sentence, without what the plugin wrote to stderr.
};

struct PluginStatus {
  Manifest manifest;
  /// ready if an instance is, else the state of what is under way, else stopped, backoff or failed.
  InstanceState state = InstanceState::kStopped;
  std::string cause;
  std::chrono::system_clock::time_point since;
  std::string socket;  ///< Its plugin socket, as an address.
  std::vector<InstanceStatus> instances;
  std::uint64_t starts = 0;
  std::uint64_t failures = 0;  ///< Starts that failed and instances that crashed.
  std::string last_failure;    ///< "" if none
  bool crash_loop = false;     ///< It failed too often and is not started again by itself.
  bool held = false;           ///< Stopped by an operator; calls do not start it.
  std::uint64_t calls = 0;
  std::uint64_t crashes = 0;  ///< How many reports are kept.
  std::optional<CrashSummary> last_crash;
  std::string output_file;     ///< Where what it prints is written to; "" if nowhere.
  std::string output_problem;  ///< Why nothing can be written there at present; "" if it can.
};

struct ReloadSummary {
  std::vector<std::string> added, removed, changed;
};

/// What the supervisor works with; all of it outlives the supervisor.
struct Environment {
  boost::asio::any_io_executor loop;
  Clock& clock;
  ProcessFactory& processes;
  Connector& connector;
  std::map<DialectKind, Dialect*> dialects;
  std::filesystem::path runtime_dir;  ///< instances/ and plugins/ are made below it.
  std::size_t lanes = 1;              ///< How many loops forward calls, this one among them.
  /// A number from 0 up to 1, another one each time, by which restarts are spread.  Left out, they
  /// are not.
  std::function<double()> random = {};
  OutputFiles* output_files = nullptr;  ///< Null: what plugins print is in no files.
};

class Supervisor final : public CallTargets {
 public:
  using StatusCallback = std::function<void(std::expected<PluginStatus, Error>)>;

  explicit Supervisor(Environment environment);
  ~Supervisor() override;
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Replaces the set of manifests: added ones are registered (and started if start.mode is boot),
  /// removed ones stopped; of changed ones new calls go to a new instance and the old one is
  /// stopped.
  ReloadSummary apply(std::vector<Manifest> manifests);

  std::vector<PluginStatus> list() const;
  /// `name` is "NAME" or "NAME@VERSION".
  std::expected<PluginStatus, Error> status(const std::string& name) const;

  /// Completes when a shared plugin's instance is ready, or the start has failed.  A host-scoped
  /// plugin starts one spare instance, which the next new host takes.
  void start(const std::string& name, StatusCallback done);
  /// Completes when every instance has stopped and nothing of their trees is left.
  void stop(const std::string& name, StatusCallback done);
  /// stop, forget the crash-loop count, then start if an instance was running or the plugin is
  /// shared.
  void restart(const std::string& name, StatusCallback done);

  /// Exchanges a registered plugin for one with this manifest, of the same name; see upgrade.h.
  /// Completes when the new one has passed its probation.  One upgrade of a plugin at a time.
  void upgrade(Manifest manifest, StatusCallback done);

  /// Stops everything; no call starts an instance any more.
  void shutdown(std::function<void()> done);
  /// After shutdown(): kills what has not stopped yet, without any further grace.
  void hurry();

  /// A loop beside the home loop gives that instance ("NAME#3") no more calls.
  void lane_let_go(const std::string& plugin, const std::string& instance);

  EventBus& events();
  /// The log of a plugin.  Valid until the plugin is removed by apply(); hold the pointer.
  std::expected<std::shared_ptr<OutputLog>, Error> log(const std::string& name) const;

  /// The crash reports that are kept of plugins of this name, the newest first.
  std::expected<std::vector<CrashReport>, Error> crashes(const std::string& name) const;

  Error not_found(const std::string& name) const override;
  /// The last connection of a host has closed.
  void host_gone(std::uint64_t host);
  void host_back(HostId host) override;
  /// Answers at once.
  void ask_serves(std::pair<HostId, HostId> hosts, std::function<void(bool)> answer) override;

  std::filesystem::path plugin_socket_path(const std::string& name) const;

  std::shared_ptr<CallTarget> target(std::string_view name) const override;
  std::vector<std::shared_ptr<CallTarget>> declaring(std::string_view service) const override;
  /// The same as target().  Null when there is none.
  Plugin* find(std::string_view name_or_name_at_version) const;
  std::vector<std::shared_ptr<Plugin>> plugins() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace plugind::plugin
