#include "daemon/control/call_gate.h"

#include <vector>

namespace plugind::control {

bool CallGate::enter(const std::shared_ptr<OpenCall>& call) {
  const std::lock_guard lock(mutex_);
  calls_.emplace(call.get(), call);
  return !closed_;
}

void CallGate::leave(const OpenCall* call) {
  std::shared_ptr<OpenCall> last;  // Destroyed after the lock is released.
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  if (found == calls_.end()) return;
  last = std::move(found->second);
  calls_.erase(found);
}

void CallGate::close(const grpc::Status& status) {
  std::vector<std::shared_ptr<OpenCall>> open;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    open.reserve(calls_.size());
    for (const auto& [key, call] : calls_) open.push_back(call);
  }
  for (const auto& call : open) call->end(status);
}

}  // namespace plugind::control
