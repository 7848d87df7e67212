// The calls in flight, so that a shutdown can end every one of them without waiting for anybody.
#pragma once

#include <grpcpp/support/status.h>

#include <memory>
#include <mutex>
#include <unordered_map>

namespace plugind::control {

/// A call that can be ended from any thread.
class OpenCall {
 public:
  virtual ~OpenCall() = default;
  /// Ends the call with `status` unless it has ended already.
  virtual void end(const grpc::Status& status) = 0;
};

/// Keeps every call alive until gRPC is done with it.  Outlives the calls.  Any thread.
class CallGate {
 public:
  /// False when the gate is closed: the caller ends the call at once.
  bool enter(const std::shared_ptr<OpenCall>& call);
  /// gRPC is done with `call`; may destroy it.
  void leave(const OpenCall* call);
  /// Ends every call; those that enter afterwards are refused.
  void close(const grpc::Status& status);

 private:
  std::mutex mutex_;
  bool closed_ = false;
  std::unordered_map<const OpenCall*, std::shared_ptr<OpenCall>> calls_;
};

}  // namespace plugind::control
