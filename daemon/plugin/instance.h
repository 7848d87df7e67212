// One running process tree of a plugin, from its start to the moment nothing of it is left.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/dialect.h"
#include "daemon/plugin/event.h"
#include "daemon/plugin/supervisor.h"

namespace plugind::plugin {

/// A host as the forwarder knows it: a process, or a connection where processes cannot be known.
/// 0 is nobody.
using HostId = std::uint64_t;

class Instance : public std::enable_shared_from_this<Instance> {
 public:
  /// Told about the instance's life; called on the loop.  Outlives the instance.
  class Owner {
   public:
    virtual void on_state(Instance& instance) = 0;
    /// The instance has ended and nothing of its tree is left.  `failure` is set when it failed to
    /// start or ended without having been asked to.
    virtual void on_ended(Instance& instance, const std::optional<Error>& failure) = 0;

   protected:
    ~Owner() = default;
  };

  Instance(const Environment& environment, Owner& owner, std::shared_ptr<const Manifest> manifest,
           std::shared_ptr<OutputLog> log, std::shared_ptr<bool> requirements_met, std::string id,
           std::filesystem::path directory);

  /// Starts the life of the instance.  It keeps itself alive until on_ended.
  void launch();
  /// Asks for the stop sequence; `cause` is a sentence.  Calls in flight end with PLUGIN_STOPPED.
  void stop(std::string cause);
  /// Cuts the stop sequence short: kills what is left of the tree now.
  void hurry();

  const std::string& id() const { return id_; }
  const Manifest& manifest() const { return *manifest_; }
  InstanceState state() const { return state_; }
  /// Takes calls.  Not in the moment between the end of its connection and the news of why.
  bool ready() const {
    return state_ == InstanceState::kReady && started_.connection && started_.connection->alive();
  }
  /// Valid while ready().
  Connection& connection() { return *started_.connection; }

  /// Says why the connection that a call was on is gone, as soon as that is known: at once when the
  /// instance has ended, else after the process had a moment to be seen dying.
  void explain_loss(std::function<void(const Error&)> tell);

  void call_started() { ++calls_, ++calls_in_flight_; }
  void call_finished() { --calls_in_flight_; }

  HostId host() const { return host_; }
  void assign_host(HostId host, std::int64_t host_pid);
  InstanceStatus status() const;

 private:
  enum class Wake { kProcessEnded, kConnectionClosed, kStopRequested };

  boost::asio::awaitable<void> run();
  boost::asio::awaitable<std::expected<void, Error>> start();
  boost::asio::awaitable<std::optional<Error>> serve();
  boost::asio::awaitable<Wake> wait_for_news();
  boost::asio::awaitable<bool> reconnect();
  boost::asio::awaitable<void> stop_sequence();
  boost::asio::awaitable<void> wait_stop_requested();
  boost::asio::awaitable<void> wait_hurried();
  void set_state(InstanceState state, std::string cause);
  void tell_losses(const Error& error);
  Error crash_error(const ExitStatus& status) const;

  const Environment& environment_;
  Owner& owner_;
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
  bool stop_requested_ = false;
  std::string stop_cause_;
  bool hurried_ = false;
  boost::asio::steady_timer stop_event_;   // Never expires; cancelled to wake.
  boost::asio::steady_timer hurry_event_;  // The same.
  std::optional<Error> ended_;             // Why calls on it failed, once known.
  std::vector<std::function<void(const Error&)>> losses_;
  HostId host_ = 0;
  std::int64_t host_pid_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t calls_in_flight_ = 0;
};

}  // namespace plugind::plugin
