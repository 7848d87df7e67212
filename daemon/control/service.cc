#include "daemon/control/service.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "daemon/control/convert.h"
#include "daemon/control/log_stream.h"
#include "daemon/control/rpc_status.h"
#include "daemon/control/unary_call.h"

namespace plugind::control {
namespace {

template <class Response>
void answer_with_plugin(UnaryCall<Response>& call, const std::string& name,
                        const std::expected<plugin::PluginStatus, Error>& status) {
  if (!status) return call.end(to_rpc_status(status.error(), name));
  Response response;
  *response.mutable_plugin() = to_proto(*status);
  call.answer(std::move(response));
}

}  // namespace

grpc::Status draining_status() {
  return to_rpc_status(make_error(Reason::kDraining, "plugind is shutting down"));
}

PluginHostService::PluginHostService(std::shared_ptr<plugin::LoopPort> loop, PluginAdmin& admin,
                                     const ControlHooks& hooks, CallGate& gate, StreamBounds bounds)
    : loop_(std::move(loop)), admin_(admin), hooks_(hooks), gate_(gate), bounds_(bounds) {}

template <class Response, class Work>
grpc::ServerUnaryReactor* PluginHostService::serve(Response* response, Work work) {
  auto call = std::make_shared<UnaryCall<Response>>(gate_, response);
  UnaryCall<Response>* const reactor = call.get();
  if (!gate_.enter(call)) {
    call->end(draining_status());
    return reactor;
  }
  // A call that has ended may find the service gone.
  loop_->post([call = std::move(call), work = std::move(work)] {
    if (!call->ended()) work(call);
  });
  return reactor;
}

template <class Response>
grpc::ServerUnaryReactor* PluginHostService::act(AdminAction action, const std::string& name,
                                                 Response* response) {
  return serve(response, [this, action, name](const std::shared_ptr<UnaryCall<Response>>& call) {
    (admin_.*action)(name, [call, name](const std::expected<plugin::PluginStatus, Error>& status) {
      answer_with_plugin(*call, name, status);
    });
  });
}

template <class Response, class Held, class Work>
grpc::ServerWriteReactor<Response>* PluginHostService::stream(Work work) {
  auto held = std::make_shared<Held>();
  const auto on_done = [this, held] {
    --streams_;
    loop_->post([held] { *held = {}; });
  };
  auto call = std::make_shared<StreamCall<Response>>(gate_, bounds_, on_done);
  StreamCall<Response>* const reactor = call.get();
  const bool open = gate_.enter(call);
  if (++streams_ > kMaxStreams) {
    call->end(to_rpc_status(make_error(Reason::kTooManyStreams,
                                       "there are already " + std::to_string(kMaxStreams) +
                                           " streams of logs and events; end one of them first")));
    return reactor;
  }
  if (!open) {
    call->end(draining_status());
    return reactor;
  }
  loop_->post([call = std::move(call), held = std::move(held), work = std::move(work)] {
    if (!call->ended()) work(call, *held);
  });
  return reactor;
}

grpc::ServerUnaryReactor* PluginHostService::ListPlugins(grpc::CallbackServerContext*,
                                                         const v1::ListPluginsRequest*,
                                                         v1::ListPluginsResponse* response) {
  return serve(response, [this](const auto& call) {
    std::vector<plugin::PluginStatus> all = admin_.list();
    std::ranges::sort(all, {}, [](const plugin::PluginStatus& status) {
      return std::tie(status.manifest.name, status.manifest.version);
    });
    v1::ListPluginsResponse list;
    for (const plugin::PluginStatus& status : all) *list.add_plugins() = to_proto(status);
    call->answer(std::move(list));
  });
}

grpc::ServerUnaryReactor* PluginHostService::GetPlugin(grpc::CallbackServerContext*,
                                                       const v1::GetPluginRequest* request,
                                                       v1::GetPluginResponse* response) {
  return serve(response, [this, name = request->name()](const auto& call) {
    answer_with_plugin(*call, name, admin_.status(name));
  });
}

grpc::ServerUnaryReactor* PluginHostService::StartPlugin(grpc::CallbackServerContext*,
                                                         const v1::StartPluginRequest* request,
                                                         v1::StartPluginResponse* response) {
  return act(&PluginAdmin::start, request->name(), response);
}

grpc::ServerUnaryReactor* PluginHostService::StopPlugin(grpc::CallbackServerContext*,
                                                        const v1::StopPluginRequest* request,
                                                        v1::StopPluginResponse* response) {
  return act(&PluginAdmin::stop, request->name(), response);
}

grpc::ServerUnaryReactor* PluginHostService::RestartPlugin(grpc::CallbackServerContext*,
                                                           const v1::RestartPluginRequest* request,
                                                           v1::RestartPluginResponse* response) {
  return act(&PluginAdmin::restart, request->name(), response);
}

grpc::ServerUnaryReactor* PluginHostService::UpgradePlugin(grpc::CallbackServerContext*,
                                                           const v1::UpgradePluginRequest* request,
                                                           v1::UpgradePluginResponse* response) {
  return serve(response, [this, name = request->name()](const auto& call) {
    hooks_.upgrade(name, [call, name](const std::expected<plugin::PluginStatus, Error>& status) {
      answer_with_plugin(*call, name, status);
    });
  });
}

grpc::ServerUnaryReactor* PluginHostService::ReloadManifests(
    grpc::CallbackServerContext*, const v1::ReloadManifestsRequest*,
    v1::ReloadManifestsResponse* response) {
  return serve(response, [this](const auto& call) {
    const auto summary = hooks_.reload();
    if (!summary) return call->end(to_rpc_status(summary.error()));
    call->answer(to_proto(*summary));
  });
}

grpc::ServerUnaryReactor* PluginHostService::ListCrashes(grpc::CallbackServerContext*,
                                                         const v1::ListCrashesRequest* request,
                                                         v1::ListCrashesResponse* response) {
  return serve(response, [this, name = request->name()](const auto& call) {
    const auto crashes = admin_.crashes(name);
    if (!crashes) return call->end(to_rpc_status(crashes.error(), name));
    v1::ListCrashesResponse list;
    for (const plugin::CrashReport& crash : *crashes) *list.add_crashes() = to_proto(crash);
    call->answer(std::move(list));
  });
}

grpc::ServerUnaryReactor* PluginHostService::GetDaemonInfo(grpc::CallbackServerContext*,
                                                           const v1::GetDaemonInfoRequest*,
                                                           v1::GetDaemonInfoResponse* response) {
  return serve(response, [this](const auto& call) {
    const std::vector<plugin::PluginStatus> plugins = admin_.list();
    std::uint32_t instances = 0;
    for (const plugin::PluginStatus& status : plugins) {
      instances += static_cast<std::uint32_t>(std::ranges::count_if(
          status.instances,
          [](const plugin::InstanceStatus& instance) { return instance.pid != 0; }));
    }
    v1::GetDaemonInfoResponse info;
    *info.mutable_daemon() = to_proto(hooks_.facts());
    info.mutable_daemon()->set_plugins(static_cast<std::uint32_t>(plugins.size()));
    info.mutable_daemon()->set_instances(instances);
    call->answer(std::move(info));
  });
}

grpc::ServerUnaryReactor* PluginHostService::Diagnose(grpc::CallbackServerContext*,
                                                      const v1::DiagnoseRequest* request,
                                                      v1::DiagnoseResponse* response) {
  return serve(response, [this, name = request->name()](const auto& call) {
    hooks_.diagnose(name, [call, name](const std::expected<Diagnosis, Error>& diagnosis) {
      if (!diagnosis) return call->end(to_rpc_status(diagnosis.error(), name));
      call->answer(to_proto(*diagnosis));
    });
  });
}

grpc::ServerWriteReactor<v1::StreamLogsResponse>* PluginHostService::StreamLogs(
    grpc::CallbackServerContext*, const v1::StreamLogsRequest* request) {
  using Held = std::shared_ptr<LogFollow>;
  return stream<v1::StreamLogsResponse, Held>(
      [this, request = *request](const std::shared_ptr<LogCall>& call, Held& held) {
        const std::string& name = request.name();
        auto log = admin_.log(name);
        if (!log) return call->end(to_rpc_status(log.error(), name));
        call->begin();
        // The log itself is bounded, so its lines are never dropped.
        const plugin::LogSelection selection = to_selection(request);
        for (const auto& line : (*log)->select(selection)) call->push_always(to_response(line));
        if (!request.follow()) return call->close(grpc::Status::OK);
        held = std::make_shared<LogFollow>(loop_, admin_, call, name, selection);
        held->start(std::move(*log));
      });
}

grpc::ServerWriteReactor<v1::WatchEventsResponse>* PluginHostService::WatchEvents(
    grpc::CallbackServerContext*, const v1::WatchEventsRequest* request) {
  using EventCall = StreamCall<v1::WatchEventsResponse>;
  using Held = plugin::EventBus::Subscription;
  return stream<v1::WatchEventsResponse, Held>(
      [this, plugin = request->plugin()](const std::shared_ptr<EventCall>& call, Held& held) {
        held =
            admin_.events().watch([weak = std::weak_ptr(call), plugin](const plugin::Event& event) {
              if (!plugin.empty() && plugin != event.plugin) return;
              const auto open = weak.lock();
              if (!open) return;
              v1::WatchEventsResponse response;
              *response.mutable_event() = to_proto(event);
              open->push(std::move(response));
            });
        call->begin();
      });
}

}  // namespace plugind::control
