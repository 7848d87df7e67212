// How a host-scoped plugin keeps instances ready for hosts that are still to come, and how many
// instances it may have.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "daemon/plugin/plugin.h"

namespace plugind::plugin {

namespace asio = boost::asio;

bool Plugin::full() const {
  return manifest_->scope != Scope::kShared && instances_.size() >= manifest_->max_instances;
}

Error Plugin::full_error() const {
  return {Reason::kTooManyInstances,
          "plugin '" + name() + "' has " + std::to_string(instances_.size()) +
              " instances, as many as max_instances allows. One is free when a host has gone, or "
              "raise the bound.",
          {{"plugin", name()}}};
}

/// The next host's.  There is one.
std::shared_ptr<Instance> Plugin::take_spare() {
  const auto ready =
      std::ranges::find_if(spares_.waiting, [](const auto& spare) { return spare->ready(); });
  const auto taken = ready != spares_.waiting.end() ? ready : spares_.waiting.begin();
  auto instance = *taken;
  spares_.waiting.erase(taken);
  return instance;
}

bool Plugin::is_spare(const std::shared_ptr<Instance>& instance) const {
  return std::ranges::find(spares_.waiting, instance) != spares_.waiting.end();
}

bool Plugin::spare_ready() const {
  return std::ranges::any_of(spares_.waiting, [](const auto& spare) { return spare->ready(); });
}

void Plugin::launch_spare() {
  const auto spare = make_instance();
  spares_.waiting.push_back(spare);
  spare->launch();
}

/// As an operator asks for it: one at least, whatever the manifest says.
void Plugin::start_spare() {
  if (spare_ready()) {
    answer_start({});
  } else if (spares_.waiting.empty() && full()) {
    answer_start(std::unexpected(full_error()));
  } else {
    if (spares_.waiting.empty()) launch_spare();
    started_spare_ = spares_.waiting.front();
  }
  keep_spares();
}

bool Plugin::wants_spare() const {
  return in_use_ && !held_ && successor_.expired() && !spares_.failures.crash_loop &&
         spares_.waiting.size() < manifest_->spares && !full();
}

/// Sees to it that there are as many as the manifest asks for: one after the other, the next when
/// the one before is ready.
void Plugin::keep_spares() {
  const bool starting =
      std::ranges::any_of(spares_.waiting, [](const auto& spare) { return !spare->was_ready(); });
  if (!wants_spare() || starting || std::exchange(spares_.start_scheduled, true)) return;
  const Clock::Duration delay = std::max<Clock::Duration>(kPause, backoff(spares_.failures));
  asio::co_spawn(environment_.loop, launch_spare_after(++spares_.generation, delay),
                 asio::detached);
}

asio::awaitable<void> Plugin::launch_spare_after(std::uint64_t generation, Clock::Duration delay) {
  const auto self = this->self();
  co_await environment_.clock.sleep(delay);
  if (spares_.generation != generation) co_return;
  spares_.start_scheduled = false;
  // A host that came meanwhile may have taken the last place.
  if (wants_spare()) launch_spare();
}

}  // namespace plugind::plugin
