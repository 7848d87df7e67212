// Limits that an operator sets, on a real daemon with stock clients.
#include <gmock/gmock.h>

#include "tests/e2e/daemon_test.h"
#include "tests/support/raw_http2.h"

namespace plugind::e2e {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class LimitsTest : public DaemonTest {
 protected:
  /// One bidirectional stream that stays open.
  struct Stream {
    explicit Stream(const std::shared_ptr<grpc::Channel>& channel)
        : stub(Echo::NewStub(channel)), call(stub->BidiStream(&context)) {}
    /// Whether the plugin answers on it.
    bool works() {
      EchoMessage message;
      message.set_payload("x");
      EchoMessage reply;
      return call->Write(message) && call->Read(&reply);
    }
    Told end() {
      call->WritesDone();
      EchoMessage reply;
      while (call->Read(&reply)) {
      }
      return told(call->Finish());
    }
    Context context;
    std::unique_ptr<Echo::Stub> stub;
    std::unique_ptr<grpc::ClientReaderWriter<EchoMessage, EchoMessage>> call;
  };
};

TEST_F(LimitsTest, AnIdleConnectionIsClosedAndClientsComeBackByThemselves) {
  usual_manifests();
  start({"--connection-idle-timeout", "100ms"});
  // grpc++.
  grpc::ChannelArguments arguments;  // As it comes, but for a connection of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel = grpc::CreateCustomChannel("unix:" + directory_.socket().string(),
                                                 grpc::InsecureChannelCredentials(), arguments);
  EXPECT_TRUE(call(channel, "one", nullptr, "echo").ok());
  const auto idle = [&] { return daemon_info().connections(); };
  // The only connection then is the one that asks.
  EXPECT_TRUE(eventually([&] { return idle() == 1; }));
  for (int i = 0; i < 3; ++i) {
    std::string reply;
    const grpc::Status status = call(channel, "two", &reply, "echo");
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(reply, "two");
    EXPECT_TRUE(eventually([&] { return idle() == 1; }));
  }
  EXPECT_EQ(daemon().log().find("host-protocol-error"), std::string::npos) << daemon().log();
}

TEST_F(LimitsTest, LibplugindComesBackByItselfToo) {
  usual_manifests();
  start({"--connection-idle-timeout", "100ms"});
  HostProcess host(directory_, "echo");
  EXPECT_EQ(host.call("hello"), "hello");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(host.call("again hello"), "hello");
    EXPECT_TRUE(eventually([&] { return daemon_info().connections() == 1; }));
  }
  host.leave();
}

TEST_F(LimitsTest, AStreamKeepsItsConnectionAndAHostItsInstance) {
  usual_manifests();
  manifest("own", {kTestPlugin}, "scope = 'host'\nstop.linger = '0s'\n");
  start({"--connection-idle-timeout", "100ms"});
  Stream stream(plugin_socket("echo"));
  EXPECT_TRUE(stream.works());
  HostProcess host(directory_, "own");
  const std::string pid = host.call("!pid");
  // Another connection has come and gone in the meantime, twice.
  for (int i = 0; i < 2; ++i) {
    const auto passer = front();
    EXPECT_TRUE(call(passer, "hello", nullptr, "echo").ok());
    EXPECT_TRUE(eventually([&] { return passer->GetState(false) != GRPC_CHANNEL_READY; }));
  }
  EXPECT_TRUE(stream.works());
  EXPECT_EQ(stream.end().code, grpc::StatusCode::OK);
  EXPECT_EQ(host.call("!pid"), pid);
  EXPECT_EQ(get_plugin("own").starts(), 1U);
}

TEST_F(LimitsTest, StreamsOfAConnectionAreBounded) {
  usual_manifests();
  start({"--max-concurrent-streams", "2"});
  const auto channel = plugin_socket("echo");
  Stream one(channel);
  Stream two(channel);
  EXPECT_TRUE(one.works() && two.works());
  // grpc++ lets the third wait until its deadline.
  Context context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  EchoMessage reply;
  EXPECT_EQ(Echo::NewStub(channel)->Unary(&context, {}, &reply).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(call(plugin_socket("echo"), "another connection").ok());
  EXPECT_EQ(one.end().code, grpc::StatusCode::OK);
  EXPECT_TRUE(call(channel, "there is room again").ok());
}

TEST_F(LimitsTest, CallsOfAPluginAreBounded) {
  manifest("echo", {kTestPlugin}, "calls.max_concurrent = 2\n");
  start();
  Stream one(plugin_socket("echo"));
  Stream two(plugin_socket("echo"));
  EXPECT_TRUE(one.works() && two.works());
  const Told refused = failure("echo");
  EXPECT_EQ(refused.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.reason, "TOO_MANY_CALLS");
  EXPECT_EQ(refused.metadata.at("plugin"), "echo");
  EXPECT_EQ(one.end().code, grpc::StatusCode::OK);
  EXPECT_EQ(answer("echo", "hello"), "hello");
}

TEST_F(LimitsTest, AReplyOverTheBoundEndsItsCall) {
  manifest("echo", {kTestPlugin}, "calls.max_message = '1KiB'\n");
  start();
  const auto stub = Echo::NewStub(plugin_socket("echo"));
  const auto ask = [&](std::size_t size) {
    // Its requests are larger than its replies, so they would be refused first: !metadata's are
    // not.
    Context context;
    context.AddMetadata("x-long", std::string(size, 'm'));
    EchoMessage request;
    request.set_payload("!metadata");
    EchoMessage reply;
    return told(stub->Unary(&context, request, &reply));
  };
  EXPECT_EQ(ask(100).code, grpc::StatusCode::OK);
  const Told refused = ask(2'000);
  EXPECT_EQ(refused.code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.reason, "REPLY_TOO_LARGE");
  EXPECT_THAT(refused.message,
              AllOf(HasSubstr("a reply message has"), HasSubstr("calls.max_message")));
}

TEST_F(LimitsTest, TheConfigurationFileSetsThem) {
  usual_manifests();
  directory_.write("plugind.toml",
                   "max-concurrent-streams = 5\nmax-metadata-size = \"16KiB\"\n"
                   "connection-idle-timeout = \"10m\"\nsocket-mode = \"0600\"\n");
  start({"--config", directory_.path() / "plugind.toml"});
  Context context;
  context.AddMetadata("plugind-plugin", "echo");
  context.AddMetadata("x-large", std::string(16 << 10, 'x'));
  EchoMessage reply;
  const Told refused = told(Echo::NewStub(front())->Unary(&context, {}, &reply));
  EXPECT_EQ(refused.reason, "HEADERS_TOO_LARGE");
  EXPECT_THAT(refused.message, HasSubstr("16384"));
}

TEST_F(LimitsTest, ConnectionsAreBoundedAndWhoIsConnectedStays) {
  start({"--max-connections", "32"});
  std::vector<std::unique_ptr<testing::RawConnection>> connections;
  const auto connect = [&] {
    connections.push_back(std::make_unique<testing::RawConnection>(directory_.socket()));
  };
  // One connection asks all the time: daemon_info() opens one each time.
  const auto stub = control();
  const auto count = [&] {
    Context context;
    v1::GetDaemonInfoResponse response;
    EXPECT_TRUE(stub->GetDaemonInfo(&context, {}, &response).ok());
    return response.daemon().connections();
  };
  ASSERT_TRUE(eventually([&] { return count() == 1; }));
  for (int i = 1; i < 32; ++i) connect();
  ASSERT_TRUE(eventually([&] { return count() == 32; }));
  testing::RawConnection one_too_many(directory_.socket());
  EXPECT_THAT(one_too_many.read_to_end().value_or("still open"),
              HasSubstr("there are 32 connections, of at most 32 (--max-connections)"));
  EXPECT_EQ(count(), 32U);
  connections.pop_back();
  ASSERT_TRUE(eventually([&] { return count() == 31; }));
  connect();
  EXPECT_TRUE(eventually([&] { return count() == 32; }));
}

TEST_F(LimitsTest, WrongSettingsAreToldWithTheirOption) {
  const struct {
    std::vector<std::string> arguments;
    const char* message;
  } cases[] = {
      {{"--max-concurrent-streams", "0"},
       "--max-concurrent-streams: must be from 1 to 1000000, not 0"},
      {{"--max-concurrent-streams", "1000001"}, "from 1 to 1000000, not 1000001"},
      {{"--max-metadata-size", "20"}, "--max-metadata-size: \"20\" has no unit; write it like"},
      {{"--max-metadata-size", "2MiB"},
       "--max-metadata-size: must be from 16KiB to 1MiB, not 2MiB"},
      {{"--connection-idle-timeout", "5"}, "--connection-idle-timeout: \"5\" has no unit"},
      {{"--connection-idle-timeout", "25h"},
       "--connection-idle-timeout: must be from 0s to 24h, not 25h"},
      {{"--max-connections", "31"}, "--max-connections: must be from 32 to 1000000, not 31"},
      {{"--max-connections", "1000001"}, "from 32 to 1000000, not 1000001"},
      {{"--max-connections-per-user", "0"},
       "--max-connections-per-user: must be from 1 to 1000000, not 0"},
      {{"--max-connections-per-user", "many"}, "from 1 to 1000000, not many"},
      {{"--admin-group", "no-such-group"},
       "--admin-group: \"no-such-group\" is no group of this system"},
      {{"--socket-group", "no-such-group"},
       "--socket-group: \"no-such-group\" is no group of this system"},
      {{"--socket-mode", "0777"}, "--socket-mode: must be an octal mode such as 0600"},
      {{"--socket-mode", "0066"}, "--socket-mode: must be an octal mode such as 0600"},
      {{"--socket-mode", "rw"}, "--socket-mode: must be an octal mode such as 0600"},
  };
  for (const auto& [arguments, message] : cases) {
    std::vector<std::string> command = {
        kPlugind, "--socket", directory_.socket(), "--manifests", directory_.manifests(),
        "--check"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const testing::Run run = testing::run(command);
    EXPECT_EQ(run.exit, Exit{.code = 2}) << message;
    EXPECT_THAT(run.err, HasSubstr(message));
  }
}

}  // namespace
}  // namespace plugind::e2e
