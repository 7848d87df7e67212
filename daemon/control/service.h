// plugind.v1.PluginHost on the domain.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "daemon/control/call_gate.h"
#include "daemon/control/hooks.h"
#include "daemon/control/plugin_admin.h"
#include "daemon/control/stream_call.h"
#include "daemon/plugin/loop_port.h"
#include "plugind/v1/plugin_host.grpc.pb.h"

namespace plugind::control {

/// Streams at one time; the front socket's one connection has room for other calls beside them.
inline constexpr int kMaxStreams = 64;

/// Its functions are called on gRPC's threads; they post to the loop and are answered from there.
/// Everything it is given outlives it and its calls.
class PluginHostService final : public v1::PluginHost::CallbackService {
 public:
  PluginHostService(std::shared_ptr<plugin::LoopPort> loop, PluginAdmin& admin,
                    const ControlHooks& hooks, CallGate& gate, StreamBounds bounds);

  grpc::ServerUnaryReactor* ListPlugins(grpc::CallbackServerContext* context,
                                        const v1::ListPluginsRequest* request,
                                        v1::ListPluginsResponse* response) override;
  grpc::ServerUnaryReactor* GetPlugin(grpc::CallbackServerContext* context,
                                      const v1::GetPluginRequest* request,
                                      v1::GetPluginResponse* response) override;
  grpc::ServerUnaryReactor* StartPlugin(grpc::CallbackServerContext* context,
                                        const v1::StartPluginRequest* request,
                                        v1::StartPluginResponse* response) override;
  grpc::ServerUnaryReactor* StopPlugin(grpc::CallbackServerContext* context,
                                       const v1::StopPluginRequest* request,
                                       v1::StopPluginResponse* response) override;
  grpc::ServerUnaryReactor* RestartPlugin(grpc::CallbackServerContext* context,
                                          const v1::RestartPluginRequest* request,
                                          v1::RestartPluginResponse* response) override;
  grpc::ServerUnaryReactor* UpgradePlugin(grpc::CallbackServerContext* context,
                                          const v1::UpgradePluginRequest* request,
                                          v1::UpgradePluginResponse* response) override;
  grpc::ServerUnaryReactor* ReloadManifests(grpc::CallbackServerContext* context,
                                            const v1::ReloadManifestsRequest* request,
                                            v1::ReloadManifestsResponse* response) override;
  grpc::ServerUnaryReactor* ListCrashes(grpc::CallbackServerContext* context,
                                        const v1::ListCrashesRequest* request,
                                        v1::ListCrashesResponse* response) override;
  grpc::ServerUnaryReactor* GetDaemonInfo(grpc::CallbackServerContext* context,
                                          const v1::GetDaemonInfoRequest* request,
                                          v1::GetDaemonInfoResponse* response) override;
  grpc::ServerUnaryReactor* Diagnose(grpc::CallbackServerContext* context,
                                     const v1::DiagnoseRequest* request,
                                     v1::DiagnoseResponse* response) override;
  grpc::ServerWriteReactor<v1::StreamLogsResponse>* StreamLogs(
      grpc::CallbackServerContext* context, const v1::StreamLogsRequest* request) override;
  grpc::ServerWriteReactor<v1::WatchEventsResponse>* WatchEvents(
      grpc::CallbackServerContext* context, const v1::WatchEventsRequest* request) override;

 private:
  using AdminAction = void (PluginAdmin::*)(const std::string&, PluginAdmin::StatusCallback);

  /// Runs `work(call)` on the loop.
  template <class Response, class Work>
  grpc::ServerUnaryReactor* serve(Response* response, Work work);
  /// Runs start, stop or restart and answers with the plugin as it is then.
  template <class Response>
  grpc::ServerUnaryReactor* act(AdminAction action, const std::string& name, Response* response);
  /// Runs `work(call, held)` on the loop.  What `work` puts into `held` is destroyed on the loop
  /// when the call is over.
  template <class Response, class Held, class Work>
  grpc::ServerWriteReactor<Response>* stream(Work work);

  std::shared_ptr<plugin::LoopPort> loop_;
  PluginAdmin& admin_;
  const ControlHooks& hooks_;
  CallGate& gate_;
  StreamBounds bounds_;
  std::atomic<int> streams_ = 0;  ///< Open ones.
};

/// What a call is told that comes or is open while the daemon ends.
grpc::Status draining_status();

}  // namespace plugind::control
