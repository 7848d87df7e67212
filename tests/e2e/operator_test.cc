// What an operator does with pluginctl or another gRPC client, on a real daemon with a real plugin.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor_database.h>

#include <algorithm>
#include <filesystem>

#include "plugins/proto/health.grpc.pb.h"
#include "tests/e2e/daemon_test.h"
#include "tests/e2e/reflection.grpc.pb.h"

namespace plugind::e2e {
namespace {

class OperatorTest : public DaemonTest {
 protected:
  testing::Run pluginctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PLUGINCTL, "--socket", directory_.socket().string()});
    return testing::run(std::move(arguments));
  }
  std::unique_ptr<testing::ChildProcess> start_pluginctl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {PLUGINCTL, "--socket", directory_.socket().string()});
    return std::make_unique<testing::ChildProcess>(std::move(arguments));
  }
};

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

auto lines(const std::string& text) { return std::ranges::count(text, '\n'); }

TEST_F(OperatorTest, StartsWatchesCallsAndStopsAPlugin) {
  manifest("echo", {kEchoCpp}, "services = ['echo.v1.Echo']\n");
  start();
  EXPECT_EQ(pluginctl({"start", "echo"}).out, "echo is ready\n");
  auto events = start_pluginctl({"events", "echo"});
  const std::int64_t pid = get_plugin("echo").instances(0).pid();
  EXPECT_TRUE(has(pluginctl({"status", "echo"}).out, std::to_string(pid)));
  const v1::Plugin running = get_plugin("echo");
  EXPECT_GT(running.instances(0).cpu_time().seconds() + running.instances(0).cpu_time().nanos(), 0);
  EXPECT_GT(running.instances(0).memory(), 1U << 20);
  EXPECT_EQ(
      pluginctl({"call", "echo", "echo.v1.Echo/Unary", "-d", "{\"payload\":\"aGk=\"}", "--json"})
          .out,
      "{\"payload\":\"aGk=\"}\n");

  // A watch begins some time after the program.
  EXPECT_TRUE(testing::eventually([&] {
    EXPECT_EQ(pluginctl({"restart", "echo"}).out, "echo is ready\n");
    return !events->out().empty();
  }));
  EXPECT_NE(get_plugin("echo").instances(0).pid(), pid);
  EXPECT_EQ(pluginctl({"stop", "echo"}).out, "echo is stopped\n");
  EXPECT_TRUE(testing::eventually([&] { return has(events->out(), "stopped by an operator"); }))
      << events->out();
  EXPECT_TRUE(has(pluginctl({"list", "--json"}).out, "INSTANCE_STATE_STOPPED"));
}

TEST_F(OperatorTest, ReloadsManifestsWhileALogIsFollowed) {
  manifest("echo", {kEchoCpp});
  start();
  EXPECT_EQ(pluginctl({"start", "echo"}).exit, Exit{.code = 0});
  auto log = start_pluginctl({"logs", "-f", "echo"});
  EXPECT_TRUE(testing::eventually([&] { return lines(log->out()) == 1; })) << log->err();

  // Registered anew: the log that is followed is the new one's.
  manifest("echo", {kEchoCpp}, "version = '2'\n");
  EXPECT_EQ(pluginctl({"reload"}).out, "changed echo\n");
  EXPECT_EQ(pluginctl({"start", "echo@2"}).exit, Exit{.code = 0});
  EXPECT_TRUE(testing::eventually([&] { return lines(log->out()) == 2; })) << log->out();

  directory_.write("manifests/echo.toml", "nonsense = 1\n");
  const testing::Run refused = pluginctl({"reload"});
  EXPECT_EQ(refused.exit, Exit{.code = 1});
  EXPECT_TRUE(has(refused.err, "MANIFEST_INVALID") && has(refused.err, "echo.toml:1:1"))
      << refused.err;
  EXPECT_TRUE(has(pluginctl({"list"}).out, "echo"));

  std::filesystem::remove(directory_.manifests() / "echo.toml");
  EXPECT_EQ(pluginctl({"reload"}).out, "removed echo\n");
  EXPECT_EQ(log->wait(), Exit{.code = 1});
  EXPECT_TRUE(has(log->err(), "PLUGIN_NOT_FOUND")) << log->err();
}

TEST_F(OperatorTest, WatchersAreToldThatTheDaemonStops) {
  manifest("echo", {kEchoCpp});
  start();
  auto events = start_pluginctl({"events"});
  auto log = start_pluginctl({"logs", "-f", "echo"});
  EXPECT_TRUE(testing::eventually([&] {
    EXPECT_EQ(pluginctl({"restart", "echo"}).exit, Exit{.code = 0});
    return !events->out().empty() && !log->out().empty();
  }));
  daemon().process().signal(SIGTERM);
  for (const auto& watcher : {events.get(), log.get()}) {
    EXPECT_EQ(watcher->wait(), Exit{.code = 1});
    EXPECT_TRUE(has(watcher->err(), "DAEMON_DRAINING")) << watcher->err();
  }
  EXPECT_EQ(daemon().process().wait(), Exit{.code = 0});
  expect_nothing_left();
  EXPECT_EQ(pluginctl({"list"}).exit, Exit{.code = 3});
}

// Services that every gRPC server has, for clients that know nothing of plugind.

struct Health {
  grpc::Status status;
  grpc::health::v1::HealthCheckResponse::ServingStatus serving;
};

Health check_health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  Context context;
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status =
      grpc::health::v1::Health::NewStub(channel)->Check(&context, request, &response);
  return {status, response.status()};
}

TEST_F(OperatorTest, AsksTheHealthOfTheDaemon) {
  // A plugin's own health is asked by its name, and is no matter of the daemon's.
  manifest("echo", {kEchoCpp}, "services = ['grpc.health.v1.Health']\n");
  start();
  for (const char* service : {"", "plugind.v1.PluginHost"}) {
    const Health health = check_health(front(), service);
    EXPECT_TRUE(health.status.ok()) << service << ": " << health.status.error_message();
    EXPECT_EQ(health.serving, grpc::health::v1::HealthCheckResponse::SERVING) << service;
  }
  EXPECT_EQ(check_health(front(), "nobody.v1.Knows").status.error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(get_plugin("echo").starts(), 0U);
}

/// One question to the reflection on the front socket.
grpc::reflection::v1alpha::ReflectionResponse reflect(
    const std::shared_ptr<grpc::Channel>& channel,
    const grpc::reflection::v1alpha::ReflectionRequest& request) {
  Context context;
  const auto stub = grpc::reflection::v1alpha::ServerReflection::NewStub(channel);
  const auto stream = stub->ServerReflectionInfo(&context);
  grpc::reflection::v1alpha::ReflectionResponse response;
  EXPECT_TRUE(stream->Write(request) && stream->Read(&response));
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

TEST_F(OperatorTest, LearnsTheControlServiceByReflection) {
  start();
  grpc::reflection::v1alpha::ReflectionRequest request;
  request.set_list_services("*");
  std::vector<std::string> services;
  const auto list = reflect(front(), request);
  for (const auto& service : list.services().services()) {
    services.push_back(service.name());
  }
  for (const char* name : {"plugind.v1.PluginHost", "grpc.health.v1.Health"}) {
    EXPECT_EQ(std::ranges::count(services, name), 1) << name;
  }

  request.set_file_containing_symbol("plugind.v1.PluginHost");
  google::protobuf::SimpleDescriptorDatabase files;
  const auto description = reflect(front(), request);
  for (const std::string& file : description.files().files()) {
    google::protobuf::FileDescriptorProto proto;
    ASSERT_TRUE(proto.ParseFromString(file));
    EXPECT_TRUE(files.Add(proto)) << proto.name();
  }
  // Whoever has these files can make every call.
  google::protobuf::DescriptorPool pool(&files);
  const auto* told = pool.FindServiceByName("plugind.v1.PluginHost");
  ASSERT_NE(told, nullptr);
  EXPECT_EQ(told->DebugString(), google::protobuf::DescriptorPool::generated_pool()
                                     ->FindServiceByName("plugind.v1.PluginHost")
                                     ->DebugString());
  EXPECT_NE(pool.FindMessageTypeByName("plugind.v1.Plugin"), nullptr);

  request.set_file_containing_symbol("nobody.v1.Knows");
  EXPECT_EQ(reflect(front(), request).error().code(), grpc::StatusCode::NOT_FOUND);
}

// A reload is all or nothing, whoever asks for it.

constexpr const char* kBySignal = "BySignal";

class Reload : public OperatorTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    for (const char* name : {"same", "changed", "gone"}) manifest(name, {kTestPlugin});
    start();
    for (const char* name : {"same", "changed", "gone"}) pids_[name] = answer(name, "!pid");
  }
  /// Reads the manifests again, which is refused; what the one who asked, or the log, is told.
  std::string refused() {
    if (GetParam() == std::string(kBySignal)) {
      daemon().process().signal(SIGHUP);
      EXPECT_TRUE(daemon().wait_log("event=reload-refused"));
      return daemon().log();
    }
    Context context;
    v1::ReloadManifestsResponse response;
    const Told refusal = told(control()->ReloadManifests(&context, {}, &response));
    EXPECT_EQ(refusal.code, grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(refusal.reason, "MANIFEST_INVALID");
    return refusal.message;
  }
  /// The same, when it succeeds; what it says that it has done.
  std::string applied() {
    const std::string done = "event=reloaded ";
    if (GetParam() == std::string(kBySignal)) {
      daemon().process().signal(SIGHUP);
    } else {
      Context context;
      v1::ReloadManifestsResponse response;
      const grpc::Status status = control()->ReloadManifests(&context, {}, &response);
      EXPECT_TRUE(status.ok()) << status.error_message();
    }
    EXPECT_TRUE(daemon().wait_log(done));
    const std::string log = daemon().log();
    const std::size_t begin = log.find(done) + done.size();
    return log.substr(begin, log.find('\n', begin) - begin);
  }
  /// "NAME VERSION" of every plugin that is registered.
  std::vector<std::string> registered() const {
    Context context;
    v1::ListPluginsResponse response;
    EXPECT_TRUE(control()->ListPlugins(&context, {}, &response).ok());
    std::vector<std::string> names;
    for (const v1::Plugin& plugin : response.plugins()) {
      names.push_back(plugin.manifest().name() + " " + plugin.manifest().version());
    }
    return names;
  }

  std::map<std::string, std::string> pids_;  // Of the instances before any reload.
};

TEST_P(Reload, AppliesAllOrNothing) {
  manifest("added", {kTestPlugin});
  manifest("changed", {kTestPlugin}, "version = '2'\n");
  std::filesystem::remove(directory_.manifests() / "gone.toml");
  manifest("invalid", {kTestPlugin}, "start.timout = '1s'\n");
  const std::string refusal = refused();
  EXPECT_TRUE(has(refusal, "invalid.toml:3:7: unknown key `start.timout`")) << refusal;
  EXPECT_EQ(registered(), (std::vector<std::string>{"changed ", "gone ", "same "}));
  for (const auto& [name, pid] : pids_) {
    EXPECT_EQ(answer(name, "!pid"), pid) << name;
    EXPECT_EQ(get_plugin(name).starts(), 1U) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(directory_.plugin_socket("added")));
  EXPECT_TRUE(testing::accepts(directory_.plugin_socket("gone")));

  manifest("invalid", {kTestPlugin});
  EXPECT_EQ(applied(), "added=added,invalid removed=gone changed=changed");
  EXPECT_EQ(registered(), (std::vector<std::string>{"added ", "changed 2", "invalid ", "same "}));
  EXPECT_EQ(answer("same", "!pid"), pids_["same"]);
  EXPECT_NE(answer("changed", "!pid"), pids_["changed"]);
  EXPECT_EQ(answer("added", "hello"), "hello");
  EXPECT_EQ(answer("invalid", "hello"), "hello");
  EXPECT_EQ(failure("gone").reason, "PLUGIN_NOT_FOUND");
  EXPECT_TRUE(eventually([&] { return !testing::alive(std::stoi(pids_["gone"])); }));
}

INSTANTIATE_TEST_SUITE_P(Ways, Reload, ::testing::Values("ByCall", kBySignal),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace plugind::e2e
