// What forwarding needs of plugins and their instances.  The supervisor's objects are it for the
// loop that they live on; forward/ has others for the loops beside it.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/error.h"
#include "daemon/plugin/connection.h"
#include "daemon/plugin/crash_report.h"
#include "daemon/plugin/manifest.h"
#include "daemon/plugin/output_log.h"

namespace plugind::plugin {

/// Whom an instance is for, as the forwarder knows it: a process, or one of its connections, as the
/// plugin's scope says.  No connection has the number of a process.  0 is nobody.
using HostId = std::uint64_t;

/// An instance, as calls see it.  Lives on one loop, as everything here does: every function is
/// called there and every callback is made there.
class CallInstance : public std::enable_shared_from_this<CallInstance> {
 public:
  virtual ~CallInstance() = default;
  /// "NAME#3"
  virtual const std::string& id() const = 0;
  /// Takes calls.
  virtual bool ready() const = 0;
  /// The one that calls go over.  Valid while ready().
  virtual Connection& connection() = 0;
  virtual void call_started() = 0;
  virtual void call_finished() = 0;
  /// Says why the connection that `call` was on is gone, as soon as that is known: at once when the
  /// instance has ended, else after the process had a moment to be seen dying.
  virtual void explain_loss(LostCall call, std::function<void(const Error&)> tell) = 0;
};

/// A plugin, as calls see it.
class CallTarget : public std::enable_shared_from_this<CallTarget> {
 public:
  using InstanceCallback = std::function<void(std::expected<std::shared_ptr<CallInstance>, Error>)>;
  /// What it stands for is given up when it is destroyed; no callback is made then.  That of a wait
  /// for an instance stands for the place of the call there afterwards: it is kept until the call
  /// has left the instance.
  using Ticket = std::shared_ptr<void>;

  virtual ~CallTarget() = default;
  virtual const Manifest& manifest() const = 0;
  const std::string& name() const { return manifest().name; }

  virtual void count_call() = 0;
  /// A call wants to begin: whether calls.max_concurrent leaves it a place.  One that got it gives
  /// it back with end_call().
  virtual std::expected<void, Error> begin_call() = 0;
  virtual void end_call() = 0;
  /// The instance that a call of `host` goes to, if it is ready now and need not be chosen; else
  /// null.
  virtual CallInstance* ready_instance(HostId host) = 0;
  /// Waits for that instance and starts it if need be.  The callback is never made from inside this
  /// function.  Bounded by calls.queue waits at a time.
  virtual Ticket wait_instance(HostId host, std::int64_t host_pid, InstanceCallback callback) = 0;
  /// The host needs its instance no more.
  virtual void host_gone(HostId host) = 0;
  /// What the instance that serves `host` prints from now on.
  virtual Ticket follow_output(HostId host, OutputLog::Follower follower) = 0;
};

/// All of them.
class CallTargets {
 public:
  virtual ~CallTargets() = default;
  /// `name` is "NAME" or "NAME@VERSION".  Null when there is none.
  virtual std::shared_ptr<CallTarget> target(std::string_view name) const = 0;
  /// Those that have `service` ("package.Service"), by name: by their manifest or by their dialect.
  virtual std::vector<std::shared_ptr<CallTarget>> declaring(std::string_view service) const = 0;
  /// A sentence that names the plugins there are.
  virtual Error not_found(const std::string& name) const = 0;
  /// A host that was gone is there again.
  virtual void host_back(HostId host) = 0;
  /// Asks whether some plugin has an instance of one of `hosts`, a process and its connection, for
  /// itself.  May answer at once.
  virtual void ask_serves(std::pair<HostId, HostId> hosts, std::function<void(bool)> answer) = 0;
};

/// "NAME" and "VERSION" of "NAME@VERSION"; the second is "" where there is none.
std::pair<std::string_view, std::string_view> split_version(std::string_view name);
/// Whether each call is given an instance of its own choice, by the loop that owns the plugin:
/// there are several, or they have a bound.
bool spreads_calls(const Manifest& manifest);
/// There are as many calls as the manifest allows.
Error too_many_calls(const Manifest& manifest);
/// No such plugin, but those of `known` (see names_of).
Error no_such_plugin(const std::string& name, const std::string& known);

/// "NAME" or "NAME@VERSION" of each value of a map of plugins, for people.
template <class Map>
std::string names_of(const Map& plugins) {
  std::string names;
  for (const auto& [name, plugin] : plugins) {
    names += names.empty() ? "" : ", ";
    names += name;
    if (!plugin->manifest().version.empty()) names += "@" + plugin->manifest().version;
  }
  return names;
}

}  // namespace plugind::plugin
