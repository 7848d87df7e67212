// What one would write with grpc++ instead of plugind: a proxy for every method, by its generic
// service and its generic stub.
//
// usage: bench_grpcpp_proxy --listen unix:/PATH --to unix:/PATH
//
// It knows no proto.  Messages are passed on as they came, without a copy; metadata of both
// directions, the deadline, cancellation, the status and its details too.  The answer's initial
// metadata goes out with its first message or its status, which saves a send.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "tests/bench/worker.h"

namespace {

using grpc::ByteBuffer;
using Stub = grpc::TemplatedGenericStub<ByteBuffer, ByteBuffer>;

/// What gRPC writes by itself.
bool is_own(std::string_view name) {
  return name.starts_with(":") || name.starts_with("grpc-") || name == "user-agent" ||
         name == "content-type" || name == "te";
}

/// A call: the side to the host.  It deletes itself when both sides have ended.
class Call final : public grpc::ServerGenericBidiReactor {
 public:
  Call(Stub& stub, grpc::GenericCallbackServerContext& host)
      : host_(host),
        to_plugin_(grpc::ClientContext::FromCallbackServerContext(host)),
        plugin_(*this) {
    for (const auto& [name, value] : host.client_metadata()) {
      if (is_own({name.data(), name.size()})) continue;
      to_plugin_->AddMetadata({name.data(), name.size()}, {value.data(), value.size()});
    }
    stub.PrepareBidiStreamingCall(to_plugin_.get(), host.method(), {}, &plugin_);
    plugin_.AddMultipleHolds(2);  // for what is begun from this side: writes, and reads
    plugin_.StartCall();
    StartRead(&request_);
  }

 private:
  /// The side to the plugin.
  class Plugin final : public grpc::ClientBidiReactor<ByteBuffer, ByteBuffer> {
   public:
    explicit Plugin(Call& call) : call_(call) {}
    void OnReadInitialMetadataDone(bool ok) override {
      if (ok) call_.pass_initial_metadata();
      // Not earlier: the first message goes out with this metadata.
      call_.read_reply();
    }
    void OnReadDone(bool ok) override { call_.on_reply(ok); }
    void OnWriteDone(bool ok) override { call_.on_request_sent(ok); }
    void OnDone(const grpc::Status& status) override { call_.finish(status); }

   private:
    Call& call_;
  };

  void OnReadDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    if (!writes_held_) return;
    if (ok) {
      plugin_.StartWrite(&request_);
    } else {
      plugin_.StartWritesDone();
      end_writes();
    }
  }
  void on_request_sent(bool ok) {
    if (ok) StartRead(&request_);
    // Otherwise the call has ended, which on_reply is told too.
  }

  void pass_initial_metadata() {
    for (const auto& [name, value] : to_plugin_->GetServerInitialMetadata()) {
      if (is_own({name.data(), name.size()})) continue;
      host_.AddInitialMetadata({name.data(), name.size()}, {value.data(), value.size()});
    }
  }

  void read_reply() { plugin_.StartRead(&reply_); }
  void on_reply(bool ok) {
    if (ok) return StartWrite(&reply_);
    {
      // The plugin may answer before the host has finished.
      const std::lock_guard lock(mutex_);
      if (writes_held_) end_writes();
    }
    plugin_.RemoveHold();
  }
  void OnWriteDone(bool ok) override {
    if (!ok) to_plugin_->TryCancel();
    read_reply();
  }

  /// `mutex_` is held.
  void end_writes() {
    writes_held_ = false;
    plugin_.RemoveHold();
  }

  void finish(const grpc::Status& status) {
    for (const auto& [name, value] : to_plugin_->GetServerTrailingMetadata()) {
      if (is_own({name.data(), name.size()})) continue;
      host_.AddTrailingMetadata({name.data(), name.size()}, {value.data(), value.size()});
    }
    Finish(status);
  }
  void OnDone() override { delete this; }

  grpc::GenericCallbackServerContext& host_;
  std::unique_ptr<grpc::ClientContext> to_plugin_;
  Plugin plugin_;
  ByteBuffer request_;
  ByteBuffer reply_;
  std::mutex mutex_;
  bool writes_held_ = true;  ///< Guarded by mutex_.
};

class Proxy final : public grpc::CallbackGenericService {
 public:
  explicit Proxy(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {}

 private:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    return new Call(stub_, *context);
  }

  Stub stub_;
};

}  // namespace

int main(int count, char** values) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  Proxy proxy(grpc::CreateCustomChannel(plugind::bench::argument(count, values, "to"),
                                        grpc::InsecureChannelCredentials(), arguments));
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterCallbackGenericService(&proxy);
  const std::string listen = plugind::bench::argument(count, values, "listen");
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  const auto server = builder.BuildAndStart();
  if (!server || port == 0) plugind::bench::fail("cannot listen on " + listen);
  std::string line;  // it ends with its stdin, as the workers do
  while (std::getline(std::cin, line)) {
  }
  std::_Exit(0);
}
