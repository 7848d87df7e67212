#include "daemon/control/control_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "daemon/control/rpc_status.h"
#include "proto/wire/status_details.h"
#include "tests/unit/control/fake_daemon.h"

namespace plugind::control {
namespace {

std::string reason_of(const grpc::Status& status) {
  const std::string& bytes = status.error_details();
  const auto decoded = wire::decode_status_details(
      reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size(), "plugind");
  return decoded ? std::string(decoded->reason) : "";
}

TEST(ControlServer, ListsPluginsInOrderOfName) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("beta");
    daemon.admin().add("alpha").state = plugin::InstanceState::kReady;
  });
  Context context;
  v1::ListPluginsResponse response;
  const auto status = daemon.stub()->ListPlugins(&context, {}, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.plugins_size(), 2);
  EXPECT_EQ(response.plugins(0).manifest().name(), "alpha");
  EXPECT_EQ(response.plugins(0).state(), v1::INSTANCE_STATE_READY);
  EXPECT_EQ(response.plugins(1).manifest().name(), "beta");
  EXPECT_EQ(response.plugins(1).state(), v1::INSTANCE_STATE_STOPPED);
}

TEST(ControlServer, UnknownPluginIsNotFoundWithReason) {
  FakeDaemon daemon;
  Context context;
  v1::GetPluginRequest request;
  request.set_name("nobody");
  v1::GetPluginResponse response;
  const auto status = daemon.stub()->GetPlugin(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "no plugin 'nobody' is registered");
  EXPECT_EQ(reason_of(status), "PLUGIN_NOT_FOUND");
}

TEST(ControlServer, StartStopAndRestartAnswerWithThePluginAsItIsThen) {
  FakeDaemon daemon;
  daemon.on_loop([&] { daemon.admin().add("kv"); });
  const auto stub = daemon.stub();
  {
    Context context;
    v1::StartPluginRequest request;
    request.set_name("kv");
    v1::StartPluginResponse response;
    ASSERT_TRUE(stub->StartPlugin(&context, request, &response).ok());
    EXPECT_EQ(response.plugin().state(), v1::INSTANCE_STATE_READY);
  }
  {
    Context context;
    v1::StopPluginRequest request;
    request.set_name("kv");
    v1::StopPluginResponse response;
    ASSERT_TRUE(stub->StopPlugin(&context, request, &response).ok());
    EXPECT_EQ(response.plugin().state(), v1::INSTANCE_STATE_STOPPED);
  }
  {
    Context context;
    v1::RestartPluginRequest request;
    request.set_name("kv");
    v1::RestartPluginResponse response;
    ASSERT_TRUE(stub->RestartPlugin(&context, request, &response).ok());
    EXPECT_EQ(response.plugin().state(), v1::INSTANCE_STATE_READY);
    EXPECT_EQ(response.plugin().starts(), 1u);
  }
}

TEST(ControlServer, UpgradeAnswersWithThePluginAsItIsThen) {
  FakeDaemon daemon;
  daemon.on_loop([&] { daemon.admin().add("kv"); });
  const auto stub = daemon.stub();
  const auto upgrade = [&](const std::string& name, v1::UpgradePluginResponse& response) {
    Context context;
    v1::UpgradePluginRequest request;
    request.set_name(name);
    return stub->UpgradePlugin(&context, request, &response);
  };
  v1::UpgradePluginResponse response;
  ASSERT_TRUE(upgrade("kv", response).ok());
  EXPECT_EQ(response.plugin().manifest().version(), "upgraded");
  EXPECT_EQ(upgrade("nix", response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(ControlServer, FailedStartCarriesReasonAndPlugin) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("kv");
    daemon.admin().start_error = make_error(Reason::kStartExited, "kv#1 exited: \xFF out of sense");
  });
  Context context;
  v1::StartPluginRequest request;
  request.set_name("kv");
  v1::StartPluginResponse response;
  const auto status = daemon.stub()->StartPlugin(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "kv#1 exited: \xEF\xBF\xBD out of sense");
  EXPECT_EQ(reason_of(status), "START_EXITED");
}

TEST(ControlServer, ReloadTellsWhatChangedOrWhatIsWrong) {
  FakeDaemon daemon;
  const auto stub = daemon.stub();
  daemon.on_loop([&] { daemon.reload() = plugin::ReloadSummary{{"a"}, {"b"}, {"c", "d"}}; });
  {
    Context context;
    v1::ReloadManifestsResponse response;
    ASSERT_TRUE(stub->ReloadManifests(&context, {}, &response).ok());
    EXPECT_EQ(response.added(0), "a");
    EXPECT_EQ(response.removed(0), "b");
    EXPECT_EQ(response.changed_size(), 2);
  }
  // More mistakes than fit into metadata: told in part, not lost altogether.
  std::string mistakes;
  for (int i = 0; i < 2'000; ++i) mistakes += "kv.toml:1:1: unknown key; did you mean …?\n";
  daemon.on_loop(
      [&] { daemon.reload() = std::unexpected(make_error(Reason::kManifestInvalid, mistakes)); });
  Context context;
  v1::ReloadManifestsResponse response;
  const auto status = stub->ReloadManifests(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(status.error_message().starts_with("kv.toml:1:1: unknown key"));
  EXPECT_TRUE(status.error_message().ends_with("…"));
  EXPECT_EQ(reason_of(status), "MANIFEST_INVALID");
}

TEST(ControlServer, DiagnosesWhatIsNamed) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.diagnosis() = Diagnosis{{{plugin::Severity::kError, "program", "kv", "gone", ""}}, 1};
  });
  const auto diagnose = [&](v1::DiagnoseResponse& response) {
    Context context;
    v1::DiagnoseRequest request;
    request.set_name("kv");
    return daemon.stub()->Diagnose(&context, request, &response);
  };
  v1::DiagnoseResponse response;
  ASSERT_TRUE(diagnose(response).ok());
  std::string diagnosed;
  daemon.on_loop([&] { diagnosed = daemon.diagnosed(); });
  EXPECT_EQ(diagnosed, "kv");
  EXPECT_EQ(response.plugins(), 1u);
  ASSERT_EQ(response.findings_size(), 1);
  EXPECT_EQ(response.findings(0).what(), "gone");
  daemon.on_loop(
      [&] { daemon.diagnosis() = std::unexpected(make_error(Reason::kTooManyDiagnoses, "four")); });
  EXPECT_EQ(diagnose(response).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST(ControlServer, DaemonInfoCountsInstancesThatHaveAProcess) {
  FakeDaemon daemon;
  daemon.on_loop([&] {
    daemon.admin().add("idle");
    auto& status = daemon.admin().add("kv");
    status.instances.resize(3);
    status.instances[0].pid = 10;
    status.instances[2].pid = 12;
  });
  Context context;
  v1::GetDaemonInfoResponse response;
  ASSERT_TRUE(daemon.stub()->GetDaemonInfo(&context, {}, &response).ok());
  EXPECT_EQ(response.daemon().version(), "9.8.7");
  EXPECT_EQ(response.daemon().pid(), 4711);
  EXPECT_EQ(response.daemon().socket(), daemon.address());
  EXPECT_EQ(response.daemon().plugins(), 2u);
  EXPECT_EQ(response.daemon().instances(), 2u);
  EXPECT_EQ(response.daemon().connections(), 3u);
  EXPECT_EQ(response.daemon().resident_bytes(), 17u << 20);
}

TEST(ControlServer, SocketIsForItsOwnerOnly) {
  FakeDaemon daemon;
  EXPECT_EQ(std::filesystem::status(daemon.socket()).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST(ControlServer, StoppingEndsACallThatTheDomainHasNotAnswered) {
  FakeDaemon daemon;
  std::promise<void> held;
  daemon.on_loop([&] {
    daemon.admin().add("slow");
    daemon.admin().hold_start = true;
    daemon.admin().on_held = [&] { held.set_value(); };
  });
  auto answer = std::async(std::launch::async, [&] {
    Context context;
    v1::StartPluginRequest request;
    request.set_name("slow");
    v1::StartPluginResponse response;
    return daemon.stub()->StartPlugin(&context, request, &response);
  });
  held.get_future().wait();
  daemon.stop();
  const grpc::Status status = answer.get();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(reason_of(status), "DAEMON_DRAINING");
  // An answer that comes afterwards goes nowhere and hurts nobody.
  daemon.on_loop([&] { daemon.admin().held_start(daemon.admin().plugins["slow"]); });
}

TEST(ControlServer, ACallerThatHangsUpDoesNotKeepTheCall) {
  FakeDaemon daemon;
  std::promise<void> held;
  daemon.on_loop([&] {
    daemon.admin().add("slow");
    daemon.admin().hold_start = true;
    daemon.admin().on_held = [&] { held.set_value(); };
  });
  Context context;
  auto answer = std::async(std::launch::async, [&] {
    v1::StartPluginRequest request;
    request.set_name("slow");
    v1::StartPluginResponse response;
    return daemon.stub()->StartPlugin(&context, request, &response);
  });
  held.get_future().wait();
  context.TryCancel();
  EXPECT_EQ(answer.get().error_code(), grpc::StatusCode::CANCELLED);
  daemon.on_loop([&] { daemon.admin().held_start(daemon.admin().plugins["slow"]); });
}

TEST(ControlServer, RefusesAPathThatIsTooLong) {
  boost::asio::io_context loop;
  FakeAdmin admin;
  ControlServer server(loop.get_executor(), admin, {});
  const auto started = server.start("/tmp/" + std::string(200, 'x'));
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().reason, Reason::kSocketPathTooLong);
}

TEST(ControlServer, SaysWhichSocketItCannotListenOn) {
  TemporaryDirectory directory;
  const auto path = directory.path() / "missing" / "control.sock";
  boost::asio::io_context loop;
  FakeAdmin admin;
  ControlServer server(loop.get_executor(), admin, {});
  const auto started = server.start(path);
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find(path.string()), std::string::npos);
}

TEST(ControlServer, ReplacesTheSocketOfADeadDaemon) {
  TemporaryDirectory directory;
  const auto path = directory.path() / "control.sock";
  boost::asio::io_context loop;
  { boost::asio::local::stream_protocol::acceptor dead(loop, path.string()); }
  ASSERT_TRUE(std::filesystem::exists(path));
  FakeAdmin admin;
  ControlServer server(loop.get_executor(), admin, {});
  const auto started = server.start(path);
  EXPECT_TRUE(started) << started.error().message;
}

TEST(RpcStatus, KeepsTheErrorsOwnPluginAndFacts) {
  const Error error{Reason::kPluginCrashed, "it died", {{"plugin", "kv"}, {"signal", "11"}}};
  const grpc::Status status = to_rpc_status(error, "kv@1");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  const std::string& bytes = status.error_details();
  EXPECT_NE(bytes.find("signal"), std::string::npos);
  EXPECT_EQ(bytes.find("kv@1"), std::string::npos);
  EXPECT_NE(
      to_rpc_status(make_error(Reason::kPluginCrashed, "x"), "kv@1").error_details().find("kv@1"),
      std::string::npos);
}

}  // namespace
}  // namespace plugind::control
