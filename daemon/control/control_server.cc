#include "daemon/control/control_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "daemon/control/call_gate.h"
#include "daemon/control/service.h"

namespace plugind::control {
namespace {

/// Callers have this long to take their last answer before their connection is closed.
constexpr auto kShutdownBound = std::chrono::seconds(1);
/// Calls at one time on one connection; the front socket has one connection for all hosts.
constexpr int kMaxCalls = 256;
constexpr int kMaxRequestBytes = 64 << 10;

bool fits_a_socket_address(const std::string& path) {
  try {
    return !boost::asio::local::stream_protocol::endpoint(path).path().empty();
  } catch (const boost::system::system_error&) {
    return false;
  }
}

}  // namespace

class ControlServer::Impl {
 public:
  Impl(boost::asio::any_io_executor loop, PluginAdmin& admin, ControlHooks hooks,
       StreamBounds bounds)
      : loop_(std::move(loop)),
        hooks_(std::move(hooks)),
        service_(loop_, admin, hooks_, gate_, bounds) {}

  ~Impl() {
    if (!server_) return;
    if (!stopper_.joinable()) {
      gate_.close(draining_status());
      shut_down();
      return;
    }
    stopper_.join();
  }

  std::expected<void, Error> start(const std::filesystem::path& socket);

  void stop(std::function<void()> done) {
    gate_.close(draining_status());
    // gRPC's shutdown waits for its peers, of which the loop is one.
    stopper_ = std::thread([this, done = std::move(done)]() mutable {
      shut_down();
      boost::asio::post(loop_, std::move(done));
    });
  }

 private:
  void shut_down() { server_->Shutdown(std::chrono::system_clock::now() + kShutdownBound); }

  boost::asio::any_io_executor loop_;
  ControlHooks hooks_;
  CallGate gate_;
  PluginHostService service_;
  std::unique_ptr<grpc::Server> server_;
  std::thread stopper_;
};

std::expected<void, Error> ControlServer::Impl::start(const std::filesystem::path& socket) {
  const std::string path = socket.string();
  if (!fits_a_socket_address(path)) {
    return std::unexpected(make_error(
        Reason::kSocketPathTooLong,
        "the control socket's path '" + path +
            "' is longer than the operating system allows; set a shorter runtime directory"));
  }
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  builder.RegisterService(&service_);
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCalls);
  // Reflection is the one synchronous service: one thread waits for its calls.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  grpc::ResourceQuota quota("plugind.control");
  quota.SetMaxThreads(4);
  quota.Resize(16 << 20);
  builder.SetResourceQuota(quota);
  server_ = builder.BuildAndStart();
  if (!server_) {
    return std::unexpected(make_error(
        Reason::kSystem, "cannot listen on the control socket '" + path +
                             "'; is its directory there, and may this user write to it?"));
  }
  std::error_code error;
  std::filesystem::permissions(
      socket, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write, error);
  if (error) {
    return std::unexpected(
        make_error(Reason::kSystem,
                   "cannot set the mode of the control socket '" + path + "': " + error.message()));
  }
  server_->GetHealthCheckService()->SetServingStatus(v1::PluginHost::service_full_name(), true);
  return {};
}

ControlServer::ControlServer(boost::asio::any_io_executor loop, PluginAdmin& admin,
                             ControlHooks hooks, StreamBounds bounds)
    : impl_(std::make_unique<Impl>(std::move(loop), admin, std::move(hooks), bounds)) {}

ControlServer::~ControlServer() = default;

std::expected<void, Error> ControlServer::start(const std::filesystem::path& socket) {
  return impl_->start(socket);
}

void ControlServer::stop(std::function<void()> done) { impl_->stop(std::move(done)); }

}  // namespace plugind::control
