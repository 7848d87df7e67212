#include "daemon/control/control_server.h"

#include <grpc/grpc.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <future>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "daemon/control/call_gate.h"
#include "daemon/control/service.h"
#include "daemon/plugin/loop_port.h"

namespace plugind::control {
namespace {

/// Callers have this long to take their last answer before their connection is closed.
constexpr std::chrono::seconds kLastAnswers{1};
/// gRPC has this long to close the connections.
constexpr std::chrono::seconds kGiveUp{2};
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

/// What gRPC's threads use.  Shared, because they may outlive the server.
struct State {
  State(boost::asio::any_io_executor executor, PluginAdmin& admin, ControlHooks the_hooks,
        StreamBounds bounds)
      : loop(std::make_shared<plugin::LoopPort>(std::move(executor))),
        hooks(std::move(the_hooks)),
        service(loop, admin, hooks, gate, bounds) {}

  std::shared_ptr<plugin::LoopPort> loop;
  ControlHooks hooks;
  CallGate gate;
  PluginHostService service;
  std::unique_ptr<grpc::Server> server;
};

}  // namespace

class ControlServer::Impl {
 public:
  Impl(const boost::asio::any_io_executor& loop, PluginAdmin& admin, ControlHooks hooks,
       StreamBounds bounds)
      : state_(std::make_shared<State>(loop, admin, std::move(hooks), bounds)), timer_(loop) {}
  ~Impl();

  std::expected<void, Error> start(const std::filesystem::path& socket);
  void stop(std::function<void()> done);

 private:
  /// Ends every call, then shuts gRPC down on a thread of its own: gRPC waits for its peers, of
  /// which the loop is one.  `then` is called on that thread.
  void shut_down(std::function<void()> then);

  std::shared_ptr<State> state_;
  boost::asio::steady_timer timer_;
  std::thread stopper_;
  std::future<void> stopped_;
  bool given_up_ = false;
};

ControlServer::Impl::~Impl() {
  if (!state_->server) return;
  if (!stopper_.joinable()) shut_down([] {});
  const auto patience = given_up_ ? std::chrono::seconds(0) : kGiveUp;
  if (stopped_.wait_for(patience) == std::future_status::ready) {
    stopper_.join();
    return;
  }
  // A peer holds a connection and does not read: gRPC closes it when what is being written has
  // been, which may be never.  The state stays with the thread.
  state_->loop->close();
  stopper_.detach();
}

void ControlServer::Impl::shut_down(std::function<void()> then) {
  state_->gate.close(draining_status());
  std::promise<void> stopped;
  stopped_ = stopped.get_future();
  stopper_ =
      std::thread([state = state_, stopped = std::move(stopped), then = std::move(then)]() mutable {
        state->server->Shutdown(std::chrono::system_clock::now() + kLastAnswers);
        then();
        state.reset();
        stopped.set_value();
      });
}

void ControlServer::Impl::stop(std::function<void()> done) {
  const auto once = [done = std::move(done), called = std::make_shared<bool>(false)] {
    if (!std::exchange(*called, true)) done();
  };
  if (!state_->server) return state_->loop->post(once);
  timer_.expires_after(kGiveUp);
  timer_.async_wait([this, once](const boost::system::error_code& error) {
    if (error) return;
    given_up_ = true;
    once();
  });
  shut_down([loop = state_->loop, once] { loop->post(once); });
}

std::expected<void, Error> ControlServer::Impl::start(const std::filesystem::path& socket) {
  const std::string path = socket.string();
  if (!fits_a_socket_address(path)) {
    return std::unexpected(make_error(
        Reason::kSocketPathTooLong,
        "the control socket's path '" + path +
            "' is longer than the operating system allows; set a shorter runtime directory"));
  }
  // Never undone: taking the library down waits up to ten seconds for its pollers.
  [[maybe_unused]] static const bool initialised = (grpc_init(), true);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();

  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  builder.RegisterService(&state_->service);
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
  state_->server = builder.BuildAndStart();
  if (!state_->server) {
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
  state_->server->GetHealthCheckService()->SetServingStatus(v1::PluginHost::service_full_name(),
                                                            true);
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
