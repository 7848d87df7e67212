#include "daemon/plugin/event.h"

namespace plugind::plugin {

std::string_view to_string(InstanceState state) {
  switch (state) {
    case InstanceState::kStarting:
      return "starting";
    case InstanceState::kReady:
      return "ready";
    case InstanceState::kDraining:
      return "draining";
    case InstanceState::kStopping:
      return "stopping";
    case InstanceState::kStopped:
      return "stopped";
    case InstanceState::kBackoff:
      return "backoff";
    case InstanceState::kFailed:
      return "failed";
  }
  return "unknown";
}

EventBus::EventBus() : watchers_(std::make_shared<std::list<Watcher>>()) {}

void EventBus::publish(Event event) {
  event.sequence = next_sequence_++;
  // A watcher may end its own subscription while it is called.
  for (auto it = watchers_->begin(); it != watchers_->end();) {
    const Watcher watcher = *it++;
    watcher(event);
  }
}

EventBus::Subscription EventBus::watch(Watcher watcher) {
  auto it = watchers_->insert(watchers_->end(), std::move(watcher));
  return Subscription(this, [watchers = watchers_, it](void*) { watchers->erase(it); });
}

}  // namespace plugind::plugin
