// What happens to plugins, told to whoever watches.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>

namespace plugind::plugin {

enum class InstanceState {
  kStarting,
  kReady,
  kDraining,  ///< Takes no more calls; those in flight go on.
  kStopping,
  kStopped,
  kBackoff,
  kFailed
};
std::string_view to_string(InstanceState state);

struct Event {
  enum class Kind { kRegistered, kRemoved, kChanged, kState };
  std::uint64_t sequence = 0;  ///< Counts up per daemon from 1.
  std::chrono::system_clock::time_point time;
  Kind kind = Kind::kState;
  std::string plugin;
  /// "" unless kState.  With kState and "": the plugin as a whole waits (kBackoff), or is not
  /// started again by itself (kFailed).
  std::string instance;
  InstanceState state = InstanceState::kStopped;  ///< for kState
  std::string cause;                              ///< A sentence: why.
};

class EventBus {
 public:
  using Watcher = std::function<void(const Event&)>;
  using Subscription = std::shared_ptr<void>;

  EventBus();
  EventBus(const EventBus&) = delete;
  EventBus& operator=(const EventBus&) = delete;
  /// Numbers the event and hands it to every watcher.
  void publish(Event event);
  /// Ends when the subscription is destroyed.
  Subscription watch(Watcher watcher);

 private:
  std::uint64_t next_sequence_ = 1;
  std::shared_ptr<std::list<Watcher>> watchers_;
};

}  // namespace plugind::plugin
