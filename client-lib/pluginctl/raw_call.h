// One gRPC call of any kind, message by message, as bytes.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/client_callback.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

namespace plugind::pluginctl {

/// One thread may write while another reads.  To gRPC every kind of call is a bidirectional one.
class RawCall final : private grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  /// Starts the call.  `method` is "/package.Service/Method".
  RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
          std::unique_ptr<grpc::ClientContext> context);
  /// Cancels the call unless it has ended.  No other function may be running.
  ~RawCall() override;

  /// Sends one message; blocks until the transport has taken it.  False: the call has ended.
  bool write(const std::string& message);
  /// No more messages are sent.
  void writes_done();
  /// Blocks for the next message.  False: there is none, finish() says why.
  bool read(std::string& message);
  /// Blocks for the end of the call.
  grpc::Status finish();
  void cancel();

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  /// Allows gRPC to end the call: no operation is started from outside any more.
  void release();

  std::unique_ptr<grpc::ClientContext> context_;
  grpc::GenericStub stub_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = true;
  bool reading_ = false;
  bool read_ok_ = false;
  bool writing_ = false;
  bool write_ok_ = false;
  bool done_ = false;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  grpc::Status status_;
};

}  // namespace plugind::pluginctl
