// A call that a test keeps open.
#pragma once

#include <memory>
#include <string>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {

/// A call that stays open: what is written comes back.
class OpenCall {
 public:
  explicit OpenCall(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(echo::v1::Echo::NewStub(channel)), stream_(stub_->BidiStream(&context_)) {}
  std::string echo(const std::string& payload) {
    echo::v1::EchoMessage message;
    message.set_payload(payload);
    echo::v1::EchoMessage reply;
    return stream_->Write(message) && stream_->Read(&reply) ? reply.payload() : "";
  }
  grpc::Status end() {
    stream_->WritesDone();
    echo::v1::EchoMessage reply;
    while (stream_->Read(&reply)) continue;
    return stream_->Finish();
  }

 private:
  std::unique_ptr<echo::v1::Echo::Stub> stub_;
  Context context_;
  std::unique_ptr<grpc::ClientReaderWriter<echo::v1::EchoMessage, echo::v1::EchoMessage>> stream_;
};

}  // namespace plugind::e2e
