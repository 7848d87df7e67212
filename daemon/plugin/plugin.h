// A registered plugin: which instance serves which host, and when one is started again.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/call_counts.h"
#include "daemon/plugin/call_target.h"
#include "daemon/plugin/crash_log.h"
#include "daemon/plugin/event.h"
#include "daemon/plugin/instance.h"
#include "daemon/plugin/manifest.h"
#include "daemon/plugin/output_log.h"
#include "daemon/plugin/restart_policy.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::plugin {

/// Numbers instances.
class InstanceNumbers {
 public:
  /// Of all instances of the daemon.
  std::uint64_t next() { return next_++; }
  /// Of those of plugins of this name, whose old instances may still be stopping when one with a
  /// changed manifest starts its first.
  std::uint64_t next_of(const std::string& plugin) { return ++of_plugin_[plugin]; }

 private:
  std::uint64_t next_ = 1;
  std::map<std::string, std::uint64_t> of_plugin_;
};

class Plugin final : public CallTarget, private Instance::Owner {
 public:
  /// `crashes` is that of its name.
  Plugin(const Environment& environment, EventBus& events, InstanceNumbers& numbers,
         std::shared_ptr<CrashLog> crashes, Manifest manifest);
  ~Plugin();
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  const Manifest& manifest() const override { return *manifest_; }
  const std::shared_ptr<const Manifest>& shared_manifest() const { return manifest_; }
  const std::shared_ptr<OutputLog>& log() const { return log_; }
  const CrashLog& crashes() const { return *crashes_; }

  Instance* ready_instance(HostId host) override;
  /// The instance that is given is always an Instance.
  Ticket wait_instance(HostId host, std::int64_t host_pid, InstanceCallback callback) override;
  /// The last connection of a host has closed, or it said that it is done: its instance stops after
  /// stop.linger, unless the host comes back.
  void host_gone(HostId host) override;
  /// A host that had gone has connected again.
  void host_back(HostId host);

  PluginStatus status() const;
  void start(std::function<void(std::expected<void, Error>)> done);
  /// Stops every instance.  `hold`: calls do not start one until start().
  void stop(std::string cause, bool hold, std::function<void()> done);
  /// Cuts every stop that is under way short.
  void hurry();
  /// Forgets failures.
  void clear_failures();
  bool has_instances() const;
  /// Whether it has an instance of this host's own.
  bool serves(HostId host) const;

  std::expected<void, Error> begin_call() override;
  void end_call() override { places_.give(); }
  void count_call() override { calls_->started(0); }
  Ticket follow_output(HostId host, OutputLog::Follower follower) override;
  /// What the calls of all loops share.
  const std::shared_ptr<CallCounts>& calls() const { return calls_; }
  const std::shared_ptr<CallPlaces>& places() const { return all_places_; }

 private:
  struct Waiter {
    std::weak_ptr<void> ticket;
    InstanceCallback callback;
  };
  /// What one host gets; a shared plugin has one slot, that of host 0.
  struct Slot {
    std::shared_ptr<Instance> instance;  // The current one, starting or ready.
    std::deque<Waiter> waiters;
    FailureHistory failures;
    std::optional<Error> crash_loop;
    bool start_scheduled = false;  // Waits for the backoff to pass.
    std::uint64_t generation = 0;  // Tells a scheduled start that it is out of date.
    std::uint64_t absence = 0;     // Tells a lingering stop that its host has come back.
    std::int64_t host_pid = 0;
  };

  HostId slot_key(HostId host) const { return manifest_->scope == Scope::kShared ? 0 : host; }
  std::optional<Error> refusal(const Slot& slot) const;
  void ensure_instance(HostId key, Slot& slot);
  void start_instance(HostId key, Slot& slot);
  void answer_soon(HostId key);
  std::shared_ptr<Instance> make_instance();
  boost::asio::awaitable<void> start_after_backoff(HostId key, std::uint64_t generation,
                                                   Clock::Duration delay);
  boost::asio::awaitable<void> stop_after_linger(HostId key, std::uint64_t absence);
  void answer_waiters(Slot& slot, const std::expected<std::shared_ptr<Instance>, Error>& outcome);
  void record_failure(Slot& slot, const Error& failure);
  void check_stopped();
  std::shared_ptr<Plugin> self() { return std::static_pointer_cast<Plugin>(shared_from_this()); }

  void on_state(Instance& instance) override;
  void on_ended(Instance& instance, const std::optional<Error>& failure) override;

  const Environment& environment_;
  EventBus& events_;
  InstanceNumbers& numbers_;
  std::shared_ptr<const Manifest> manifest_;
  std::shared_ptr<OutputLog> log_;
  const std::shared_ptr<CrashLog> crashes_;
  std::shared_ptr<bool> requirements_met_ = std::make_shared<bool>(false);  // See StartContext.
  std::map<HostId, Slot> slots_;
  std::shared_ptr<Instance> spare_;                   // Started by an operator, for the next host.
  std::vector<std::shared_ptr<Instance>> instances_;  // Every living one.
  std::vector<std::function<void(std::expected<void, Error>)>> start_waiters_;
  std::vector<std::function<void()>> stop_waiters_;
  bool held_ = false;  // Stopped by an operator or by the daemon's end.
  std::string held_cause_;
  std::uint64_t starts_ = 0;
  std::uint64_t failures_ = 0;
  const std::shared_ptr<CallCounts> calls_;
  const std::shared_ptr<CallPlaces> all_places_;
  LanePlaces places_;
  std::string last_failure_;
  InstanceState rest_state_ = InstanceState::kStopped;  // While there is no instance.
  std::string rest_cause_ = "not started yet";
  std::chrono::system_clock::time_point rest_since_;
};

}  // namespace plugind::plugin
