// One running process tree of a plugin, from its start to the moment nothing of it is left.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "daemon/error.h"
#include "daemon/plugin/call_counts.h"
#include "daemon/plugin/call_target.h"
#include "daemon/plugin/crash_log.h"
#include "daemon/plugin/dialect.h"
#include "daemon/plugin/event.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::plugin {

class Instance final : public CallInstance {
 public:
  /// Told about the instance's life; called on the loop.  Outlives the instance.
  class Owner {
   public:
    virtual void on_state(Instance& instance) = 0;
    /// The instance has ended and nothing of its tree is left.  `failure` is set when it failed to
    /// start or ended without having been asked to.
    virtual void on_ended(Instance& instance, const std::optional<Error>& failure) = 0;
    /// It takes calls and has one fewer than before, of those that have places.
    virtual void on_place(Instance& instance) = 0;

   protected:
    ~Owner() = default;
  };

  Instance(const Environment& environment, Owner& owner, std::shared_ptr<const Manifest> manifest,
           std::shared_ptr<OutputLog> log, std::shared_ptr<CrashLog> crashes,
           std::shared_ptr<bool> requirements_met, std::string id, std::filesystem::path directory);

  /// Starts the life of the instance.  It keeps itself alive until on_ended.
  void launch();
  /// Asks for the stop sequence; `cause` is a sentence.  It takes no more calls.  Those in flight
  /// go on for at most stop.drain; what is left of them ends with PLUGIN_STOPPED.
  void stop(std::string cause);
  /// It takes no more calls, those in flight go on, and it stays as it is: kept in reserve.
  void withdraw(std::string cause);
  /// It takes calls again.
  void restore(std::string cause);
  bool withdrawn() const { return withdrawn_; }
  /// One of the loops beside the home loop gives it no more calls: all must have said so before it
  /// has none.
  void lane_let_go();
  /// A call on another loop has ended.
  void look_idle();
  /// Cuts the stop sequence short: kills what is left of the tree now.
  void hurry();

  const std::string& id() const override { return id_; }
  const Manifest& manifest() const { return *manifest_; }
  /// It has been ready for calls at some time.
  bool was_ready() const { return ready_at_ != Clock::TimePoint{}; }
  /// How long it was ready before it failed or ended by itself; zero: it never was, or did neither.
  std::chrono::milliseconds ready_for() const {
    return ready_for_.value_or(std::chrono::milliseconds(0));
  }
  InstanceState state() const { return state_; }
  /// Why it is in that state.
  const std::string& cause() const { return cause_; }
  /// Not in the moment between the end of its connection and the news of why.
  bool ready() const override {
    return state_ == InstanceState::kReady && started_.connection && started_.connection->alive();
  }
  Connection& connection() override { return *started_.connection; }
  /// Where it listens.  Valid while ready().
  const Endpoint& endpoint() const { return started_.endpoint; }
  void explain_loss(LostCall call, std::function<void(const Error&)> tell) override;
  /// The same of another connection to the instance than connection().
  void explain_other_loss(LostCall call, std::function<void(const Error&)> tell);

  void call_started() override { calls_->started(0); }
  void call_finished() override {
    calls_->finished(0);
    if (state_ == InstanceState::kDraining) look_idle();
  }
  const std::shared_ptr<CallCounts>& calls() const { return calls_; }
  /// Somebody waited for it, who may call from another loop, and so in a while.
  void was_awaited() { awaited_ = true; }
  /// Calls that it was chosen for, whatever loop they are on: see CallPlace.
  void take_place() { ++places_taken_; }
  void give_place() {
    --places_taken_;
    if (ready()) owner_->on_place(*this);
  }
  std::uint32_t places_taken() const { return places_taken_; }
  /// Knows why calls on it fail, once it has ended; outlives the instance.
  const std::shared_ptr<InstanceEnd>& end() const { return end_; }

  /// Who is told about its life from now on.
  void set_owner(Owner& owner) { owner_ = &owner; }
  HostId host() const { return host_; }
  /// It waits for a host to serve.
  bool is_spare() const { return manifest_->scope != Scope::kShared && host_ == 0; }
  void assign_host(HostId host, std::int64_t host_pid);
  InstanceStatus status() const;

 private:
  enum class Wake { kProcessEnded, kConnectionClosed, kStopRequested, kUnhealthy };
  /// What became of an instance that has lost its connection.
  enum class Lost { kConnectedAgain, kProcessEnded, kStopRequested, kUnsteady, kRefused };

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<std::expected<void, Error>> start();
  boost::asio::awaitable<std::optional<Error>> serve();
  boost::asio::awaitable<Wake> wait_for_news();
  boost::asio::awaitable<void> watch_health();
  boost::asio::awaitable<void> watch_idleness();
  boost::asio::awaitable<Lost> replace_connection();
  boost::asio::awaitable<Lost> reconnect();
  boost::asio::awaitable<Lost> wait_farewell();
  boost::asio::awaitable<void> drain();
  boost::asio::awaitable<void> stop_sequence();
  boost::asio::awaitable<std::string> end_by_steps();
  boost::asio::awaitable<bool> take_step(StopStep step);
  boost::asio::awaitable<void> wait_stop_requested();
  boost::asio::awaitable<void> wait_hurried();
  boost::asio::awaitable<void> wait_idle();
  boost::asio::awaitable<void> wait_broken();
  boost::asio::awaitable<bool> dies_within_grace();
  void set_state(InstanceState state, std::string cause);
  void enter_draining(std::string cause);
  /// At once if it has ended, else when run() hears of it.
  void tell_when_known(LostCall call, std::function<void(const Error&)> tell);
  void tell_losses(const Error& error);
  CrashReport report() const;
  Error crash_error(const ExitStatus& status);
  /// The connection is gone, and calls with it; not of one that is being made.
  bool is_broken() const;
  Error closed_error() const;
  Error refused_error() const;
  Error unsteady_error() const;
  Error unhealthy_error() const;
  boost::asio::awaitable<Error> kill_for(Error error);
  std::shared_ptr<Instance> self() {
    return std::static_pointer_cast<Instance>(shared_from_this());
  }

  const Environment& environment_;
  Owner* owner_;
  std::shared_ptr<const Manifest> manifest_;
  std::shared_ptr<OutputLog> log_;
  std::shared_ptr<bool> requirements_met_;
  const std::string id_;
  const std::filesystem::path directory_;
  Dialect& dialect_;

  InstanceState state_ = InstanceState::kStarting;
  std::string cause_;
  std::chrono::system_clock::time_point since_;
  Clock::TimePoint ready_at_{};
  Started started_;
  const Process* greeted_ = nullptr;  // The process, while it is being greeted.
  bool stop_requested_ = false;
  std::string stop_cause_;
  Clock::TimePoint connected_at_{};
  std::uint32_t short_lived_ = 0;    // So many connections in a row were lost soon after.
  bool reconnected_ = false;         // Calls may go on over a connection before this one.
  Clock::TimePoint quiet_since_{};   // Nobody has called it since, as far as was looked.
  std::uint64_t calls_seen_ = 0;     // So many had, then.
  bool awaited_ = false;             // Since then.
  Clock::TimePoint next_check_{};    // Of its health.
  std::uint32_t failed_checks_ = 0;  // In a row.
  std::string health_;               // What was wrong when the last one failed.
  bool hurried_ = false;
  boost::asio::steady_timer stop_event_;   // Never expires; cancelled to wake.
  boost::asio::steady_timer hurry_event_;  // The same.
  std::size_t lanes_left_ = 0;             // Loops beside this one that may still give it calls.
  std::size_t late_lanes_ = 0;             // Answers still to come of when it drained before.
  bool withdrawn_ = false;
  bool idle_ = false;
  boost::asio::steady_timer idle_event_;  // As the others.
  struct Loss {
    LostCall call;
    std::function<void(const Error&)> tell;
  };
  const std::shared_ptr<InstanceEnd> end_;
  std::map<std::uint64_t, Loss> losses_;  // Who waits to be told; in order.
  std::uint64_t next_loss_ = 0;
  // For the crash report:
  const std::chrono::system_clock::time_point launched_;
  FailedStart failed_start_;
  std::string sentence_;  // Why it ended, without its stderr; "": as end_ says.
  std::optional<std::chrono::milliseconds> ready_for_;  // Once it is over.
  bool killed_ = false;                                 // Because it failed, not to stop it.
  HostId host_ = 0;
  std::int64_t host_pid_ = 0;
  const std::shared_ptr<CallCounts> calls_;
  std::uint32_t places_taken_ = 0;
};

}  // namespace plugind::plugin
