// How calls are spread over the instances of a plugin, and how they wait where all have as many as
// they may.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "daemon/plugin/plugin.h"

namespace plugind::plugin {

namespace asio = boost::asio;

/// The ready one with the fewest calls that may have one more; null: there is none.
std::shared_ptr<Instance> Plugin::choose(Slot& slot) const {
  std::shared_ptr<Instance> chosen;
  std::size_t next = slot.turn;
  for (std::size_t i = 0; i < slot.instances.size(); ++i) {
    // Who has as few as another is chosen in turn, or the first if the others may stop for it.
    const std::size_t index = (slot.turn + i) % slot.instances.size();
    const auto& one = slot.instances[index];
    const bool full =
        manifest_->calls_per_instance > 0 && one->places_taken() >= manifest_->calls_per_instance;
    if (!one->ready() || full) continue;
    if (chosen && chosen->places_taken() <= one->places_taken()) continue;
    chosen = one;
    next = index + 1;
  }
  if (manifest_->stop_idle.count() == 0) slot.turn = next;
  return chosen;
}

/// Gives the calls that wait to instances, the oldest first, as far as these can take them.
void Plugin::serve_waiters(Slot& slot) {
  if (!spreads_calls(*manifest_)) {
    const auto ready = std::ranges::find_if(slot.instances, &Instance::ready);
    if (ready != slot.instances.end()) answer_waiters(slot, std::shared_ptr<Instance>(*ready));
    return;
  }
  while (!slot.waiters.empty()) {
    const auto place = slot.waiters.front().place.lock();
    if (!place) {
      slot.waiters.pop_front();
      continue;
    }
    const auto chosen = choose(slot);
    if (!chosen) return;
    const Waiter waiter = std::move(slot.waiters.front());
    slot.waiters.pop_front();
    place->take(chosen);
    chosen->was_awaited();
    waiter.callback(chosen);
  }
}

/// The same as soon as nothing else is being done.
void Plugin::serve_soon(HostId key) {
  asio::post(environment_.loop, [self = self(), key] {
    const auto it = self->slots_.find(key);
    if (it != self->slots_.end()) self->serve_waiters(it->second);
  });
}

void Plugin::on_place(Instance& instance) {
  const auto it = slots_.find(slot_key(instance.host()));
  if (it != slots_.end() && !it->second.waiters.empty()) serve_soon(it->first);
}

/// For a call that need not wait.
std::shared_ptr<Instance> Plugin::choose_at_once(HostId key, Slot& slot) {
  if (!spreads_calls(*manifest_)) return nullptr;
  while (!slot.waiters.empty() && slot.waiters.front().place.expired()) slot.waiters.pop_front();
  if (!slot.waiters.empty()) return nullptr;  // They were first.
  grow(key, slot, 1);
  return choose(slot);
}

/// Ends the waits that have lasted for calls.queue_timeout.
void Plugin::watch_queue() {
  if (manifest_->calls_queue_timeout.count() == 0 || std::exchange(queue_watched_, true)) return;
  asio::co_spawn(environment_.loop, end_long_waits(), asio::detached);
}

asio::awaitable<void> Plugin::end_long_waits() {
  const auto self = this->self();
  while (true) {
    while (end_a_long_wait()) continue;
    std::optional<Clock::TimePoint> oldest;
    for (auto& [key, slot] : slots_) {
      // They wait in the order that they came in.
      while (!slot.waiters.empty() && slot.waiters.front().place.expired()) {
        slot.waiters.pop_front();
      }
      if (slot.waiters.empty()) continue;
      const Clock::TimePoint since = slot.waiters.front().since;
      oldest = oldest ? std::min(*oldest, since) : since;
    }
    if (!oldest) break;
    co_await environment_.clock.sleep(*oldest + manifest_->calls_queue_timeout -
                                      environment_.clock.now());
  }
  queue_watched_ = false;
}

/// False: there is none.
bool Plugin::end_a_long_wait() {
  const Clock::TimePoint now = environment_.clock.now();
  for (auto& [key, slot] : slots_) {
    if (slot.waiters.empty()) continue;
    if (slot.waiters.front().since + manifest_->calls_queue_timeout > now) continue;
    const Waiter waiter = std::move(slot.waiters.front());
    slot.waiters.pop_front();
    const auto place = waiter.place.lock();
    if (place) waiter.callback(std::unexpected(queue_timeout_error(slot)));
    return true;
  }
  return false;
}

Error Plugin::queue_timeout_error(const Slot& slot) const {
  const auto ready = std::ranges::count_if(slot.instances, &Instance::ready);
  std::string message = "the call has waited for an instance of plugin '" + name() + "' for " +
                        std::to_string(manifest_->calls_queue_timeout.count()) +
                        " ms (calls.queue_timeout). ";
  if (ready == 0) {
    message += "None is ready; `pluginctl status " + name() + "` tells why.";
  } else {
    message += std::to_string(ready) +
               (ready == 1 ? " is ready, and has" : " are ready, and have") +
               (ready == 1 ? " " : " each ") + std::to_string(manifest_->calls_per_instance) +
               (manifest_->calls_per_instance == 1 ? " call" : " calls") +
               " already (calls.per_instance).";
  }
  return {Reason::kQueueTimeout, std::move(message), {{"plugin", name()}}};
}

/// Whether a shared plugin may have one more instance than it has.
bool Plugin::may_grow(const Slot& slot) const {
  return in_use_ && !held_ && successor_.expired() && !slot.failures.crash_loop &&
         slot.instances.size() < manifest_->instances;
}

/// Whether it is to have it, for so many calls that are at none.
bool Plugin::wants_instance(const Slot& slot, std::size_t calls) const {
  if (!may_grow(slot)) return false;
  if (manifest_->stop_idle.count() == 0) return true;
  // Those that nobody needs stop again, so another one is for a call that finds none without one.
  const auto idle = std::ranges::count_if(
      slot.instances, [](const auto& one) { return one->ready() && one->places_taken() == 0; });
  return calls > static_cast<std::size_t>(idle);
}

/// Adds one, after the one before is ready.
void Plugin::grow(HostId key, Slot& slot, std::size_t calls) {
  if (slot.start_scheduled || slot.instances.empty() || starting(slot)) return;
  // Not in the way of the calls: see spares.cc.
  if (wants_instance(slot, calls)) {
    schedule_start(key, slot, std::max<Clock::Duration>(kPause, backoff(slot.failures)));
  }
}

bool Plugin::starting(const Slot& slot) {
  return !std::ranges::all_of(slot.instances, &Instance::was_ready);
}

}  // namespace plugind::plugin
