// One unary call of the control API: created on a gRPC thread, answered from the loop.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <utility>

#include "daemon/control/call_gate.h"

namespace plugind::control {

template <class Response>
class UnaryCall final : public grpc::ServerUnaryReactor, public OpenCall {
 public:
  /// `response` is gRPC's and is written by the first answer() only.
  UnaryCall(CallGate& gate, Response* response) : gate_(gate), response_(response) {}

  void answer(Response response) {
    if (ended_.exchange(true)) return;
    *response_ = std::move(response);
    Finish(grpc::Status::OK);
  }
  void end(const grpc::Status& status) override {
    if (!ended_.exchange(true)) Finish(status);
  }
  bool ended() const { return ended_; }

 private:
  void OnCancel() override { end(grpc::Status::CANCELLED); }
  void OnDone() override { gate_.leave(this); }

  CallGate& gate_;
  Response* response_;
  std::atomic<bool> ended_ = false;
};

}  // namespace plugind::control
