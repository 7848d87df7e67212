#include "plugins/echo-cpp/echo_service.h"

#include "plugins/proto/echo.grpc.pb.h"

namespace echo {
namespace {

using echo::v1::Echo;
using echo::v1::EchoMessage;
using echo::v1::StreamRequest;
using echo::v1::Summary;

// A reactor deletes itself in OnDone: gRPC owns it from the moment a method returns it.

class Repeater final : public grpc::ServerWriteReactor<EchoMessage> {
 public:
  explicit Repeater(const StreamRequest& request) : left_(request.repeat()) {
    message_.set_payload(request.payload());
    write_next();
  }
  void OnWriteDone(bool ok) override {
    if (ok) {
      write_next();
    } else {
      Finish({grpc::StatusCode::CANCELLED, "the caller has gone"});
    }
  }
  void OnDone() override { delete this; }

 private:
  void write_next() {
    if (left_ == 0) {
      Finish(grpc::Status::OK);
      return;
    }
    --left_;
    StartWrite(&message_);
  }

  EchoMessage message_;
  std::uint32_t left_;
};

class Counter final : public grpc::ServerReadReactor<EchoMessage> {
 public:
  explicit Counter(Summary* summary) : summary_(summary) { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (!ok) {  // the caller has finished, or has gone
      Finish(grpc::Status::OK);
      return;
    }
    summary_->set_messages(summary_->messages() + 1);
    summary_->set_bytes(summary_->bytes() + message_.payload().size());
    StartRead(&message_);
  }
  void OnDone() override { delete this; }

 private:
  Summary* summary_;  // belongs to the call
  EchoMessage message_;
};

class Mirror final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Mirror() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (ok) {
      StartWrite(&message_);
    } else {
      Finish(grpc::Status::OK);
    }
  }
  void OnWriteDone(bool ok) override {
    if (ok) {
      StartRead(&message_);
    } else {
      Finish({grpc::StatusCode::CANCELLED, "the caller has gone"});
    }
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

// Where the answer is the request's very bytes, they are passed on unparsed: a benchmark through
// this plugin then measures the way to it and back, not protobuf.
using Base = Echo::WithRawCallbackMethod_Unary<Echo::WithCallbackMethod_ServerStream<
    Echo::WithCallbackMethod_ClientStream<Echo::WithRawCallbackMethod_BidiStream<Echo::Service>>>>;

class EchoService final : public Base {
 public:
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* reply) override {
    *reply = *request;  // shares the bytes
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
  grpc::ServerWriteReactor<EchoMessage>* ServerStream(grpc::CallbackServerContext*,
                                                      const StreamRequest* request) override {
    return new Repeater(*request);
  }
  grpc::ServerReadReactor<EchoMessage>* ClientStream(grpc::CallbackServerContext*,
                                                     Summary* summary) override {
    return new Counter(summary);
  }
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* BidiStream(
      grpc::CallbackServerContext*) override {
    return new Mirror;
  }
};

}  // namespace

std::unique_ptr<grpc::Service> make_echo_service() { return std::make_unique<EchoService>(); }

}  // namespace echo
