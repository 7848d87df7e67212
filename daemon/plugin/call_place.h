// A call's wait for an instance, and then its place there.
#pragma once

#include <memory>
#include <utility>

#include "daemon/plugin/instance.h"

namespace plugind::plugin {

/// Belongs to the call; gives the place back when it is destroyed.  Of plugins whose calls are not
/// counted by instance it never has one.
class CallPlace {
 public:
  CallPlace() = default;
  ~CallPlace() {
    if (instance_) instance_->give_place();
  }
  CallPlace(const CallPlace&) = delete;
  CallPlace& operator=(const CallPlace&) = delete;

  /// At most once.
  void take(std::shared_ptr<Instance> instance) {
    instance_ = std::move(instance);
    instance_->take_place();
  }

 private:
  std::shared_ptr<Instance> instance_;
};

}  // namespace plugind::plugin
