// How one version of a plugin takes the place of another.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <iterator>
#include <utility>

#include "daemon/plugin/plugin.h"

namespace plugind::plugin {

namespace asio = boost::asio;

void Plugin::step_aside(const std::string& cause) {
  for (const auto& spare : spares_.waiting) spare->stop(cause);
  const auto it = slots_.find(0);
  if (manifest_->scope != Scope::kShared || it == slots_.end()) return;
  for (const auto& instance : std::exchange(it->second.instances, {})) {
    if (instance->ready()) {
      reserve_.push_back(instance);
      instance->withdraw(cause);
    } else {
      instance->stop(cause);
    }
  }
}

void Plugin::step_back(const std::string& cause) {
  successor_.reset();
  if (!reserve_.empty()) {
    Slot& slot = slots_[0];
    slot.instances = std::exchange(reserve_, {});
    for (const auto& instance : std::vector(slot.instances)) instance->restore(cause);
  } else if (manifest_->start_mode == StartMode::kBoot && !held_) {
    start([](const std::expected<void, Error>&) {});
  }
  keep_spares();
}

void Plugin::succeed(Plugin& other, HostsInstances instances) {
  successor_.reset();
  other.successor_ = self();
  in_use_ = in_use_ || other.in_use_;
  const bool by_host =
      manifest_->scope != Scope::kShared && other.manifest_->scope == manifest_->scope;
  for (auto& [key, theirs] : other.slots_) {
    ++theirs.generation;
    theirs.start_scheduled = false;
    auto waiters = std::exchange(theirs.waiters, {});
    if (other.manifest_->scope != manifest_->scope) {
      // Whose instance a call waits for is not known on the other side.
      for (Waiter& waiter : waiters) {
        if (!waiter.place.expired()) waiter.callback(std::unexpected(changed_error()));
      }
      continue;
    }
    Slot& mine = slots_[key];
    std::ranges::move(waiters, std::back_inserter(mine.waiters));
    const bool takes = instances == HostsInstances::kAll ||
                       (instances == HostsInstances::kOwn && !theirs.instances.empty() &&
                        &theirs.instances.front()->manifest() == manifest_.get());
    if (by_host && takes && !theirs.instances.empty()) {
      mine.host_pid = theirs.host_pid;
      mine.instances = std::exchange(theirs.instances, {});
      for (const auto& instance : mine.instances) {
        std::erase(other.instances_, instance);
        instances_.push_back(instance);
        instance->set_owner(*this);
      }
      // A stop that was under way does not find it any more.
      if (theirs.host_absent) host_gone(key);
    }
    if (mine.waiters.empty()) continue;
    watch_queue();
    ensure_instance(key, mine);
  }
  if (other.rest_state_ == InstanceState::kBackoff) {
    other.rest(InstanceState::kStopped, "replaced");  // The news is this one's.
  }
  keep_spares();
}

Error Plugin::changed_error() const {
  return {Reason::kPluginStopped,
          "plugin '" + name() + "' has just been changed to another scope. Call again.",
          {{"plugin", name()}}};
}

bool Plugin::is_version_of(const std::string& instance) const {
  return std::ranges::any_of(instances_, [&](const auto& one) {
    return one->id() == instance && &one->manifest() == manifest_.get();
  });
}

}  // namespace plugind::plugin
