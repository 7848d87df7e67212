#include "daemon/plugin/upgrade.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <optional>
#include <utility>

#include "daemon/plugin/gate.h"
#include "daemon/plugin/plugin.h"

namespace plugind::plugin {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

namespace {

std::string label(const Plugin& plugin) {
  const std::string& version = plugin.manifest().version;
  return version.empty() ? "the new one" : "version " + version;
}

Error superseded(const Register& plugins, const Plugin& next) {
  if (plugins.draining()) return make_error(Reason::kDraining, "plugind is shutting down");
  return {Reason::kPluginStopped,
          "plugin '" + next.name() +
              "' was changed or removed by a reload during the upgrade, which was given up",
          {{"plugin", next.name()}}};
}

/// The first failure of an instance of `plugin`, while this lives.
class Failures {
 public:
  Failures(EventBus& events, const Plugin& plugin)
      : watch_(events.watch([this, &plugin](const Event& event) {
          const bool failed =
              event.kind == Event::Kind::kState && event.state == InstanceState::kFailed;
          if (!failed || cause_ || !plugin.is_version_of(event.instance)) return;
          cause_ = event.cause;
          seen_.open();
        })) {}
  asio::awaitable<void> wait() const { return seen_.wait(); }
  const std::optional<std::string>& cause() const { return cause_; }

 private:
  std::optional<std::string> cause_;
  Gate seen_;
  EventBus::Subscription watch_;
};

}  // namespace

asio::awaitable<std::expected<void, Error>> upgrade(const Environment& environment,
                                                    EventBus& events, Register& plugins,
                                                    std::shared_ptr<Plugin> before,
                                                    std::shared_ptr<Plugin> next) {
  const std::string name = next->name();
  std::expected<void, Error> started;
  Gate answered;
  plugins.keep(next);
  next->start([&](std::expected<void, Error> outcome) {
    started = std::move(outcome);
    answered.open();
  });
  co_await answered.wait();
  if (plugins.draining() || plugins.registered(name) != before) {
    plugins.retire(next, "its upgrade was given up");
    co_return std::unexpected(superseded(plugins, *next));
  }
  if (!started) {
    plugins.retire(next, "it did not start");
    Error error = std::move(started.error());
    error.message = "the upgrade has failed, and what ran before goes on: " + error.message;
    co_return std::unexpected(std::move(error));
  }

  const Failures failures(events, *next);
  before->step_aside("replaced by " + label(*next));
  next->succeed(*before, Plugin::HostsInstances::kAll);
  plugins.keep(before);
  plugins.replace(next, "upgraded to " + label(*next));
  co_await (environment.clock.sleep(next->manifest().upgrade_probation) || failures.wait());

  if (plugins.draining() || plugins.registered(name) != next) {
    plugins.retire(before, "replaced by " + label(*next));
    co_return std::unexpected(superseded(plugins, *next));
  }
  if (!failures.cause()) {
    plugins.retire(before, "replaced by " + label(*next));
    co_return std::expected<void, Error>{};
  }
  before->step_back("the upgrade was rolled back");
  before->succeed(*next, Plugin::HostsInstances::kOwn);
  plugins.replace(before, "rolled back: " + *failures.cause());
  plugins.retire(next, "rolled back");
  co_return std::unexpected(
      Error{Reason::kPluginCrashed,
            "the upgrade was rolled back, because an instance failed within upgrade.probation: " +
                *failures.cause(),
            {{"plugin", name}}});
}

}  // namespace plugind::plugin
