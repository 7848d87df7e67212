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
#include "daemon/plugin/call_place.h"
#include "daemon/plugin/call_target.h"
#include "daemon/plugin/crash_log.h"
#include "daemon/plugin/event.h"
#include "daemon/plugin/instance.h"
#include "daemon/plugin/manifest.h"
#include "daemon/plugin/output_files.h"
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

/// What is known of a plugin of one name, whatever its manifest became meanwhile.
struct PluginRecord {
  explicit PluginRecord(std::size_t lanes)
      : log(std::make_shared<OutputLog>()),
        crashes(std::make_shared<CrashLog>()),
        calls(std::make_shared<CallCounts>(lanes)) {}

  const std::shared_ptr<OutputLog> log;
  std::shared_ptr<OutputFile> output_file;  ///< Of the log; null: there is none.
  const std::shared_ptr<CrashLog> crashes;
  const std::shared_ptr<CallCounts> calls;  ///< Those of all loops.
  std::uint64_t starts = 0;
  std::uint64_t failures = 0;
  std::string last_failure;
};

/// What is not needed at once is started so much later: starting a process takes the loop, and the
/// machine, from calls.
inline constexpr std::chrono::milliseconds kPause{10};

class Plugin final : public CallTarget, private Instance::Owner {
 public:
  Plugin(const Environment& environment, EventBus& events, InstanceNumbers& numbers,
         std::shared_ptr<PluginRecord> record, Manifest manifest);
  ~Plugin();
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  const Manifest& manifest() const override { return *manifest_; }
  const std::shared_ptr<const Manifest>& shared_manifest() const { return manifest_; }
  const std::shared_ptr<PluginRecord>& record() const { return record_; }
  const std::shared_ptr<OutputLog>& log() const { return record_->log; }
  const CrashLog& crashes() const { return *record_->crashes; }

  Instance* ready_instance(HostId host) override;
  /// The instance that is given is always an Instance.
  Ticket wait_instance(HostId host, std::int64_t host_pid, InstanceCallback callback) override;
  /// The last connection of a host has closed, or it said that it is done: its instance stops after
  /// stop.linger, unless the host comes back.
  void host_gone(HostId host) override;
  /// A host that had gone has connected again.
  void host_back(HostId host);

  PluginStatus status() const;
  /// `done` when all instances that a shared plugin is to have now are ready; of a host-scoped one,
  /// one for the next host.
  void start(std::function<void(std::expected<void, Error>)> done);
  /// Stops every instance.  `hold`: calls do not start one until start().
  void stop(std::string cause, bool hold, std::function<void()> done);
  /// The same with `hold`, for one that is not registered any more, or never was: others of its
  /// name are, and events that are not about its instances would be taken for theirs.
  void retire(std::string cause, std::function<void()> done);
  /// Cuts every stop that is under way short.
  void hurry();
  /// A loop beside the home loop gives that instance no more calls.  Unknown ones are no matter.
  void lane_let_go(const std::string& instance);
  /// Forgets failures.
  void clear_failures();
  bool has_instances() const;
  /// Whether it has an instance of this host's own.
  bool serves(HostId host) const;

  std::expected<void, Error> begin_call() override;
  void end_call() override { places_.give(); }
  void count_call() override { record_->calls->started(0); }
  Ticket follow_output(HostId host, OutputLog::Follower follower) override;
  /// What the calls of all loops share.
  const std::shared_ptr<CallCounts>& calls() const { return record_->calls; }
  const std::shared_ptr<CallPlaces>& places() const { return all_places_; }

  // One version of a plugin takes the place of another: upgrade.h has the whole.

  /// Which instances that hosts have of their own are taken over: those that run the manifest of
  /// the one that takes them, all, or none.
  enum class HostsInstances { kOwn, kAll, kNone };
  /// Its shared instances take no more calls and are kept in reserve; what has just been started,
  /// or was for the next host, is stopped.
  void step_aside(const std::string& cause);
  /// Its shared instances take calls again.
  void step_back(const std::string& cause);
  /// Calls that wait at `other`, or come to it still, are this one's from now on.
  void succeed(Plugin& other, HostsInstances instances);
  /// Whether that is an instance of its own which runs its manifest.
  bool is_version_of(const std::string& instance) const;

 private:
  struct Waiter {
    std::weak_ptr<CallPlace> place;  // Its ticket.
    InstanceCallback callback;
    Clock::TimePoint since;
  };
  /// How often instances have failed that are for the same.
  struct Failures {
    FailureHistory history;
    std::optional<Error> crash_loop;
    void clear() {
      history.clear();
      crash_loop.reset();
    }
  };
  /// What one host gets; a shared plugin has one slot, that of host 0.
  struct Slot {
    std::vector<std::shared_ptr<Instance>> instances;  // Starting or ready.
    std::size_t turn = 0;        // Which of them has the next call, if they have equally many.
    std::deque<Waiter> waiters;  // In the order that they came in.
    Failures failures;
    bool start_scheduled = false;  // Waits for the backoff to pass.
    std::uint64_t generation = 0;  // Tells a scheduled start that it is out of date.
    std::uint64_t absence = 0;     // Tells a lingering stop that its host has come back.
    bool host_absent = false;
    std::int64_t host_pid = 0;
  };

  /// Instances for hosts that are still to come; spares.cc has what is about them.
  struct Spares {
    std::vector<std::shared_ptr<Instance>> waiting;  // Starting or ready.
    Failures failures;
    bool start_scheduled = false;
    std::uint64_t generation = 0;  // As a slot's.
  };

  HostId slot_key(HostId host) const { return manifest_->scope == Scope::kShared ? 0 : host; }
  std::optional<Error> refusal(const Slot& slot) const;
  void ensure_instance(HostId key, Slot& slot);
  void rest_in_backoff(Clock::Duration delay);
  void start_instance(HostId key, Slot& slot);
  Clock::Duration backoff(Failures& failures) const;
  std::shared_ptr<Instance> choose(Slot& slot) const;
  void serve_waiters(Slot& slot);
  void serve_soon(HostId key);
  std::shared_ptr<Instance> choose_at_once(HostId key, Slot& slot);
  void watch_queue();
  boost::asio::awaitable<void> end_long_waits();
  bool end_a_long_wait();
  Error queue_timeout_error(const Slot& slot) const;
  bool may_grow(const Slot& slot) const;
  bool wants_instance(const Slot& slot, std::size_t calls) const;
  void grow(HostId key, Slot& slot, std::size_t calls);
  void schedule_start(HostId key, Slot& slot, Clock::Duration delay);
  bool prints_for(HostId host, const LogLine& line) const;
  static bool starting(const Slot& slot);
  std::shared_ptr<Instance> make_instance();
  boost::asio::awaitable<void> start_after_backoff(HostId key, std::uint64_t generation,
                                                   Clock::Duration delay);
  boost::asio::awaitable<void> stop_after_linger(HostId key, std::uint64_t absence);
  void answer_waiters(Slot& slot, const std::expected<std::shared_ptr<Instance>, Error>& outcome);
  void record_failure(Failures& failures, const Instance& instance, const Error& failure);
  bool full() const;
  Error full_error() const;
  std::shared_ptr<Instance> take_spare();
  bool is_spare(const std::shared_ptr<Instance>& instance) const;
  bool spare_ready() const;
  void launch_spare();
  void start_spare();
  void answer_start(const std::expected<void, Error>& outcome);
  bool wants_spare() const;
  void keep_spares();
  boost::asio::awaitable<void> launch_spare_after(std::uint64_t generation, Clock::Duration delay);
  void let_go(const std::shared_ptr<Instance>& instance);
  void rest(InstanceState state, std::string cause);
  void publish_rest();
  void rest_stopped(const std::string& cause);
  void leave_backoff(const std::string& cause);
  Error changed_error() const;
  void check_stopped();
  std::shared_ptr<Plugin> self() { return std::static_pointer_cast<Plugin>(shared_from_this()); }

  void on_state(Instance& instance) override;
  void on_ended(Instance& instance, const std::optional<Error>& failure) override;
  void on_place(Instance& instance) override;

  const Environment& environment_;
  EventBus& events_;
  InstanceNumbers& numbers_;
  std::shared_ptr<const Manifest> manifest_;
  const std::shared_ptr<PluginRecord> record_;
  std::weak_ptr<Plugin> successor_;  // Serves the calls that still come here.
  std::shared_ptr<bool> requirements_met_ = std::make_shared<bool>(false);  // See StartContext.
  std::map<HostId, Slot> slots_;
  Spares spares_;
  bool queue_watched_ = false;
  bool in_use_ = false;                               // Since a call or a start, until a stop.
  std::vector<std::shared_ptr<Instance>> reserve_;    // Ran before an upgrade that may fail.
  std::vector<std::shared_ptr<Instance>> instances_;  // Every living one.
  std::vector<std::function<void(std::expected<void, Error>)>> start_waiters_;
  std::weak_ptr<Instance> started_spare_;  // The one that they wait for.
  std::vector<std::function<void()>> stop_waiters_;
  bool retired_ = false;
  bool held_ = false;  // Stopped by an operator or by the daemon's end.
  std::string held_cause_;
  const std::shared_ptr<CallPlaces> all_places_;
  LanePlaces places_;
  InstanceState rest_state_ = InstanceState::kStopped;  // While there is no instance.
  std::string rest_cause_ = "not started yet";
  std::chrono::system_clock::time_point rest_since_;
};

}  // namespace plugind::plugin
