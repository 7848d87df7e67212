#include "plugins/echo-cpp/echo_service.h"

#include <cstdlib>

#include "plugins/proto/echo.grpc.pb.h"
#include "plugins/proto/health.grpc.pb.h"

namespace echo {
namespace {

using echo::v1::Echo;
using echo::v1::EchoMessage;
using echo::v1::StreamRequest;
using echo::v1::Summary;
using HealthRequest = grpc::health::v1::HealthCheckRequest;
using HealthResponse = grpc::health::v1::HealthCheckResponse;
using Queue = grpc::ServerCompletionQueue;

// Where the answer is the request's very bytes, they are passed on unparsed: a benchmark through
// this plugin then measures the way to it and back, not protobuf.
using Service = Echo::WithRawMethod_Unary<Echo::WithAsyncMethod_ServerStream<
    Echo::WithAsyncMethod_ClientStream<Echo::WithRawMethod_BidiStream<Echo::Service>>>>;

struct Services {
  Service echo;
  // Not grpc++'s own: its threads take turns with ours on every connection, which makes each call
  // half as slow again.
  grpc::health::v1::Health::AsyncService health;
};

/// A call, from waiting for it to its end.  Its address is the tag of its one operation under way.
class Call {
 public:
  Call(Services& services, Queue& queue) : services_(services), queue_(queue) {}
  virtual ~Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// Takes the result of the operation and begins the next one.  False: there is none.
  virtual bool proceed(bool ok) = 0;

 protected:
  Services& services_;
  Queue& queue_;
  grpc::ServerContext context_;
};

/// A call of the kind `Kind` that waits to be made.
template <class Kind>
void wait_for(Services& services, Queue& queue) {
  (new Kind(services, queue))->wait();  // deleted by EchoServer::run
}

class Unary final : public Call {
 public:
  using Call::Call;
  void wait() {
    services_.echo.RequestUnary(&context_, &message_, &writer_, &queue_, &queue_, this);
  }
  bool proceed(bool ok) override {
    if (finishing_ || !ok) return false;
    wait_for<Unary>(services_, queue_);
    finishing_ = true;
    writer_.Finish(message_, grpc::Status::OK, this);
    return true;
  }

 private:
  grpc::ByteBuffer message_;
  grpc::ServerAsyncResponseWriter<grpc::ByteBuffer> writer_{&context_};
  bool finishing_ = false;
};

class ServerStream final : public Call {
 public:
  using Call::Call;
  void wait() {
    services_.echo.RequestServerStream(&context_, &request_, &writer_, &queue_, &queue_, this);
  }
  bool proceed(bool ok) override {
    if (state_ == State::kFinishing) return false;
    if (state_ == State::kWaiting) {
      if (!ok) return false;
      wait_for<ServerStream>(services_, queue_);
      state_ = State::kWriting;
      message_.set_payload(std::move(*request_.mutable_payload()));
    }
    if (!ok) {
      finish({grpc::StatusCode::CANCELLED, "the caller has gone"});
    } else if (written_ == request_.repeat()) {
      finish(grpc::Status::OK);
    } else {
      ++written_;
      writer_.Write(message_, this);
    }
    return true;
  }

 private:
  enum class State { kWaiting, kWriting, kFinishing };
  void finish(const grpc::Status& status) {
    state_ = State::kFinishing;
    writer_.Finish(status, this);
  }

  StreamRequest request_;
  EchoMessage message_;
  grpc::ServerAsyncWriter<EchoMessage> writer_{&context_};
  State state_ = State::kWaiting;
  std::uint32_t written_ = 0;
};

class ClientStream final : public Call {
 public:
  using Call::Call;
  void wait() { services_.echo.RequestClientStream(&context_, &reader_, &queue_, &queue_, this); }
  bool proceed(bool ok) override {
    switch (state_) {
      case State::kWaiting:
        if (!ok) return false;
        wait_for<ClientStream>(services_, queue_);
        state_ = State::kReading;
        break;
      case State::kReading:
        if (!ok) {  // the caller has finished, or has gone
          state_ = State::kFinishing;
          reader_.Finish(summary_, grpc::Status::OK, this);
          return true;
        }
        summary_.set_messages(summary_.messages() + 1);
        summary_.set_bytes(summary_.bytes() + message_.payload().size());
        break;
      case State::kFinishing:
        return false;
    }
    reader_.Read(&message_, this);
    return true;
  }

 private:
  enum class State { kWaiting, kReading, kFinishing };

  EchoMessage message_;
  Summary summary_;
  grpc::ServerAsyncReader<Summary, EchoMessage> reader_{&context_};
  State state_ = State::kWaiting;
};

class BidiStream final : public Call {
 public:
  using Call::Call;
  void wait() { services_.echo.RequestBidiStream(&context_, &stream_, &queue_, &queue_, this); }
  bool proceed(bool ok) override {
    switch (state_) {
      case State::kWaiting:
        if (!ok) return false;
        wait_for<BidiStream>(services_, queue_);
        read();
        return true;
      case State::kReading:
        if (ok) {
          state_ = State::kWriting;
          stream_.Write(message_, this);
        } else {
          finish(grpc::Status::OK);
        }
        return true;
      case State::kWriting:
        if (ok) {
          read();
        } else {
          finish({grpc::StatusCode::CANCELLED, "the caller has gone"});
        }
        return true;
      case State::kFinishing:
        return false;
    }
    return false;
  }

 private:
  enum class State { kWaiting, kReading, kWriting, kFinishing };
  void read() {
    state_ = State::kReading;
    stream_.Read(&message_, this);
  }
  void finish(const grpc::Status& status) {
    state_ = State::kFinishing;
    stream_.Finish(status, this);
  }

  grpc::ByteBuffer message_;
  grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer> stream_{&context_};
  State state_ = State::kWaiting;
};

class HealthCheck final : public Call {
 public:
  using Call::Call;
  void wait() {
    services_.health.RequestCheck(&context_, &request_, &writer_, &queue_, &queue_, this);
  }
  bool proceed(bool ok) override {
    if (finishing_ || !ok) return false;
    wait_for<HealthCheck>(services_, queue_);
    finishing_ = true;
    if (request_.service().empty() || request_.service() == Echo::service_full_name()) {
      HealthResponse response;
      response.set_status(HealthResponse::SERVING);
      writer_.Finish(response, grpc::Status::OK, this);
    } else {
      writer_.FinishWithError({grpc::StatusCode::NOT_FOUND, "there is no such service here"}, this);
    }
    return true;
  }

 private:
  HealthRequest request_;
  grpc::ServerAsyncResponseWriter<HealthResponse> writer_{&context_};
  bool finishing_ = false;
};

}  // namespace

struct EchoServer::Impl {
  Services services;
  std::unique_ptr<Queue> queue;
};

EchoServer::EchoServer(grpc::ServerBuilder& builder) : impl_(std::make_unique<Impl>()) {
  builder.RegisterService(&impl_->services.echo);
  builder.RegisterService(&impl_->services.health);
  impl_->queue = builder.AddCompletionQueue();
}

EchoServer::~EchoServer() = default;

void EchoServer::run() {
  wait_for<Unary>(impl_->services, *impl_->queue);
  wait_for<ServerStream>(impl_->services, *impl_->queue);
  wait_for<ClientStream>(impl_->services, *impl_->queue);
  wait_for<BidiStream>(impl_->services, *impl_->queue);
  wait_for<HealthCheck>(impl_->services, *impl_->queue);
  void* tag = nullptr;
  bool ok = false;
  while (impl_->queue->Next(&tag, &ok)) {
    Call* call = static_cast<Call*>(tag);
    if (!call->proceed(ok)) delete call;
  }
  std::abort();  // The queue ends when it is shut down, and nobody does that.
}

}  // namespace echo
