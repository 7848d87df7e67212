// Calls by grpc++ stubs to the echo plugin or to the kv plugin.
//
// usage: bench_grpcpp --address unix:/PATH [--service echo|kv] [--unread N]
//
// With --unread the connection has N streams of 1 MiB messages from the echo plugin, too, which are
// not read.
//
// Kinds: "unary"; for echo also "server-stream", messages from the plugin, and "bidi", messages
// there and back.  One unary call in flight is the blocking API; everything else is the callback
// API.
#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "plugins/proto/echo.grpc.pb.h"
#include "plugins/proto/kv.grpc.pb.h"
#include "tests/bench/grpcpp_streams.h"
#include "tests/bench/grpcpp_unary.h"
#include "tests/bench/worker.h"

namespace {

using echo::v1::Echo;
using echo::v1::EchoMessage;
using plugind::bench::argument;
using plugind::bench::fail;
using plugind::bench::Load;
using plugind::bench::Measurement;
using plugind::bench::run_unary;

using Done = std::function<void(grpc::Status)>;

/// Calls that send so many bytes and get them back.
class EchoCalls {
 public:
  using Reply = EchoMessage;

  explicit EchoCalls(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {}

  void set_size(std::size_t size) {
    if (request_.payload().size() != size) request_.set_payload(std::string(size, 'x'));
  }
  grpc::Status call(grpc::ClientContext& context, Reply& reply) {
    return stub_.Unary(&context, request_, &reply);
  }
  void start(grpc::ClientContext& context, Reply& reply, Done done) {
    stub_.async()->Unary(&context, &request_, &reply, std::move(done));
  }
  void check(const grpc::Status& status, const Reply& reply) const {
    if (!status.ok()) fail("echo: " + status.error_message());
    if (reply.payload() != request_.payload()) fail("echo did not echo");
  }

  Measurement run(const Load& load) {
    set_size(load.size);
    if (load.kind == "unary") return run_unary(*this, load);
    if (load.kind == "server-stream" || load.kind == "bidi") {
      return plugind::bench::run_streams(stub_, request_, load);
    }
    fail("there are no calls of the kind " + load.kind);
  }

 private:
  Echo::Stub stub_;
  EchoMessage request_;
};

/// Calls that get a value of so many bytes, which is put once.
class KvCalls {
 public:
  using Reply = proto::GetResponse;

  explicit KvCalls(const std::shared_ptr<grpc::Channel>& channel) : stub_(channel) {}

  void set_size(std::size_t size) {
    size_ = size;
    request_.set_key("bench-" + std::to_string(size));
    if (!stored_.insert(size).second) return;
    proto::PutRequest put;
    put.set_key(request_.key());
    put.set_value(std::string(size, 'x'));
    grpc::ClientContext context;
    proto::Empty nothing;
    const grpc::Status status = stub_.Put(&context, put, &nothing);
    if (!status.ok()) fail("kv: " + status.error_message());
  }
  grpc::Status call(grpc::ClientContext& context, Reply& reply) {
    return stub_.Get(&context, request_, &reply);
  }
  void start(grpc::ClientContext& context, Reply& reply, Done done) {
    stub_.async()->Get(&context, &request_, &reply, std::move(done));
  }
  void check(const grpc::Status& status, const Reply& reply) const {
    if (!status.ok()) fail("kv: " + status.error_message());
    // The plugin adds a line of its own.
    if (reply.value().size() < size_) fail("kv answered something else than it was given");
  }

  Measurement run(const Load& load) {
    if (load.kind != "unary") fail("there are no calls to kv of the kind " + load.kind);
    set_size(load.size);
    return run_unary(*this, load);
  }

 private:
  proto::KV::Stub stub_;
  std::size_t size_ = 0;
  proto::GetRequest request_;
  std::set<std::size_t> stored_;
};

template <typename Service>
int serve(const std::shared_ptr<grpc::Channel>& channel) {
  Service service(channel);
  return plugind::bench::serve([&service](const Load& load) { return service.run(load); });
}

}  // namespace

int main(int count, char** values) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  const auto channel = grpc::CreateCustomChannel(argument(count, values, "address"),
                                                 grpc::InsecureChannelCredentials(), arguments);
  const std::string service = argument(count, values, "service", "echo");
  const plugind::bench::UnreadStreams unread(channel,
                                             std::stoul(argument(count, values, "unread", "0")));
  if (service == "kv") return serve<KvCalls>(channel);
  if (service == "echo") return serve<EchoCalls>(channel);
  fail("there is no service " + service + "; give echo or kv");
}
