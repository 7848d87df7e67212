// Whose instance: hosts are processes, and plugins that keep their host's state are not shared.
#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/e2e/daemon_test.h"
#include "tests/e2e/plugins/go_plugin.grpc.pb.h"

namespace plugind::e2e {
namespace {

using ::testing::HasSubstr;

class Hosts : public DaemonTest {
 protected:
  static constexpr const char* kGoPlugin =
      "dialect = 'go-plugin'\nenv = { E2E_COOKIE = 'right' }\n";

  void start_with_linger(const std::string& linger) {
    manifest("kv", {kTestPlugin}, kGoPlugin + ("stop.linger = '" + linger + "'\n"));
    start();
  }
  std::size_t instances(const std::string& plugin) const {
    return static_cast<std::size_t>(get_plugin(plugin).instances_size());
  }
};

TEST_F(Hosts, HaveAnInstanceEach) {
  start_with_linger("100ms");
  HostProcess one(directory_, "kv");
  HostProcess other(directory_, "kv");
  const std::string of_one = one.call("!pid");
  const std::string of_other = other.call("!pid");
  EXPECT_NE(of_one, of_other);
  EXPECT_EQ(one.call("!pid"), of_one) << "two connections of one process are one host";

  const v1::Plugin plugin = get_plugin("kv");
  ASSERT_EQ(plugin.instances_size(), 2);
  EXPECT_EQ(plugin.instances(0).host_pid(), one.pid());
  EXPECT_EQ(std::to_string(plugin.instances(0).pid()), of_one);
  EXPECT_EQ(plugin.instances(1).host_pid(), other.pid());

  one.leave();
  EXPECT_TRUE(eventually([&] { return instances("kv") == 1; }));
  EXPECT_FALSE(testing::alive(std::stoi(of_one)));
  EXPECT_EQ(other.call("!pid"), of_other);
  other.die();
  EXPECT_TRUE(eventually([&] { return instances("kv") == 0; }));
  EXPECT_FALSE(testing::alive(std::stoi(of_other)));
}

TEST_F(Hosts, ThatComeBackSoonFindTheirInstance) {
  start_with_linger("1h");
  const std::string first = answer("kv", "!pid");
  // All connections of this process close here, with the ends of the statements.
  EXPECT_EQ(answer("kv", "!pid"), first);
  EXPECT_EQ(get_plugin("kv").starts(), 1U);
}

TEST_F(Hosts, GetTheSpareThatAnOperatorStarted) {
  start_with_linger("100ms");
  Context context;
  v1::StartPluginRequest request;
  request.set_name("kv");
  v1::StartPluginResponse response;
  ASSERT_TRUE(control()->StartPlugin(&context, request, &response).ok());
  ASSERT_EQ(response.plugin().instances_size(), 1);
  EXPECT_EQ(response.plugin().instances(0).host_pid(), 0);
  HostProcess host(directory_, "kv");
  EXPECT_EQ(host.call("!pid"), std::to_string(response.plugin().instances(0).pid()));
  EXPECT_EQ(get_plugin("kv").instances(0).host_pid(), host.pid());
}

TEST_F(Hosts, FindSparesThatAreMadeUpFor) {
  manifest("kv", {kTestPlugin}, kGoPlugin + std::string("spares = 1\n"));
  start();
  const auto spare = [&] {
    std::int64_t pid = 0;
    EXPECT_TRUE(eventually([&] {
      const v1::Plugin plugin = get_plugin("kv");
      for (const v1::Instance& one : plugin.instances()) {
        if (one.spare() && one.state() == v1::INSTANCE_STATE_READY) pid = one.pid();
      }
      return pid != 0;
    }));
    return std::to_string(pid);
  };
  HostProcess first(directory_, "kv");
  const std::string of_first = first.call("!pid");
  const std::string waiting = spare();
  EXPECT_NE(waiting, of_first);
  HostProcess second(directory_, "kv");
  EXPECT_EQ(second.call("!pid"), waiting);
  EXPECT_NE(spare(), waiting);
  EXPECT_EQ(first.call("!pid"), of_first);
}

TEST_F(Hosts, OneTooManyIsRefusedUntilAnotherHasGone) {
  manifest("kv", {kTestPlugin},
           kGoPlugin + std::string("max_instances = 1\nstop.linger = '100ms'\n"));
  start();
  HostProcess first(directory_, "kv");
  EXPECT_EQ(first.call("hello"), "hello");
  HostProcess second(directory_, "kv");
  EXPECT_THAT(second.call("hello"), HasSubstr("as many as max_instances allows"));
  first.leave();
  EXPECT_TRUE(eventually([&] { return second.call("hello") == "hello"; }));
}

TEST_F(Hosts, ThatCallNoMoreLetTheirInstanceGo) {
  manifest("kv", {kTestPlugin}, kGoPlugin + std::string("stop.idle = '200ms'\n"));
  start();
  HostProcess host(directory_, "kv");
  const std::string pid = host.call("!pid");
  EXPECT_TRUE(eventually([&] { return instances("kv") == 0; }));
  EXPECT_FALSE(testing::alive(std::stoi(pid)));
  EXPECT_EQ(get_plugin("kv").failures(), 0U);
  EXPECT_NE(host.call("!pid"), pid) << "the next call starts one";
}

TEST_F(Hosts, HaveAnInstanceForEachConnectionIfItIsTiedToThat) {
  manifest("kv", {kTestPlugin}, kGoPlugin + std::string("scope = 'connection'\n"));
  start();
  const auto pid_for = [](const std::shared_ptr<grpc::Channel>& connection) {
    Context context;
    context.AddMetadata("plugind-plugin", "kv");
    EchoMessage request, reply;
    request.set_payload("!pid");
    const grpc::Status status = Echo::NewStub(connection)->Unary(&context, request, &reply);
    return status.ok() ? std::stoi(reply.payload()) : -1;
  };
  const auto one = front();
  auto other = front();
  const int of_one = pid_for(one), of_other = pid_for(other);
  ASSERT_GT(of_one, 0);
  ASSERT_GT(of_other, 0);
  EXPECT_NE(of_one, of_other);
  EXPECT_EQ(pid_for(one), of_one);
  other.reset();
  EXPECT_TRUE(eventually([&] { return !testing::alive(of_other); }));
  EXPECT_EQ(pid_for(one), of_one) << "the other connection has its own still";
  EXPECT_EQ(get_plugin("kv").failures(), 0U);
}

TEST_F(Hosts, ShareWhatIsShared) {
  manifest("native", {kTestPlugin});
  manifest("shared", {kTestPlugin}, kGoPlugin + std::string("scope = 'shared'\n"));
  manifest("native-host", {kTestPlugin}, "scope = 'host'\n");
  start();
  for (const char* plugin : {"native", "shared"}) {
    const std::string pid = answer(plugin, "!pid");
    HostProcess one(directory_, plugin);
    HostProcess other(directory_, plugin);
    EXPECT_EQ(one.call("!pid"), pid) << plugin;
    EXPECT_EQ(other.call("!pid"), pid) << plugin;
    one.leave();
    EXPECT_EQ(other.call("!pid"), pid) << plugin;
  }
  HostProcess host(directory_, "native-host");
  EXPECT_NE(host.call("!pid"), answer("native-host", "!pid"));
}

TEST_F(Hosts, MayEndTheirInterestAsGoPluginDoes) {
  start_with_linger("100ms");
  HostProcess other(directory_, "kv");
  const std::string of_other = other.call("!pid");
  const std::string mine = answer("kv", "!pid");

  const auto channel = plugin_socket("kv");
  Context context;
  plugin::Empty reply;
  const grpc::Status status =
      plugin::GRPCController::NewStub(channel)->Shutdown(&context, plugin::Empty(), &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(eventually([&] { return instances("kv") == 1; }));
  EXPECT_EQ(other.call("!pid"), of_other);
  EXPECT_NE(answer("kv", "!pid"), mine);
}

TEST_F(Hosts, GetACopyOfTheOutputAsGoPluginGivesIt) {
  start_with_linger("1h");
  HostProcess other(directory_, "kv");
  other.call("!say theirs");
  const auto channel = plugin_socket("kv");
  ASSERT_TRUE(call(channel, "warm").ok());
  Context context;
  const auto reader = plugin::GRPCStdio::NewStub(channel)->StreamStdio(&context, plugin::Empty());
  reader->WaitForInitialMetadata();
  other.call("!say theirs");
  ASSERT_TRUE(call(channel, "!print mine").ok());
  ASSERT_TRUE(call(channel, "!say mine-too").ok());
  plugin::StdioData data;
  ASSERT_TRUE(reader->Read(&data));
  EXPECT_EQ(data.data(), "mine\n");
  EXPECT_EQ(data.channel(), plugin::StdioData::STDOUT);
  ASSERT_TRUE(reader->Read(&data));
  EXPECT_EQ(data.data(), "mine-too\n");
  EXPECT_EQ(data.channel(), plugin::StdioData::STDERR);
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

}  // namespace
}  // namespace plugind::e2e
