// Calls of every kind, by every way there is.
#include <gmock/gmock.h>
#include <plugind/plugind.h>

#include <cstdint>
#include <thread>

#include "tests/e2e/daemon_test.h"

namespace plugind::e2e {
namespace {

using ::testing::HasSubstr;

/// Where a host may call, and what it has to say for it.
struct Way {
  const char* name;
  bool plugin_socket;
  const char* plugin;    ///< Whose manifest serves it.
  const char* metadata;  ///< plugind-plugin; "" for none.
};

class Ways : public DaemonTest, public ::testing::WithParamInterface<Way> {
 protected:
  void SetUp() override {
    usual_manifests();
    start();
    channel_ = GetParam().plugin_socket ? plugin_socket(GetParam().plugin) : front();
    stub_ = Echo::NewStub(channel_);
  }
  void address(grpc::ClientContext& context) const {
    if (*GetParam().metadata != '\0') context.AddMetadata("plugind-plugin", GetParam().metadata);
  }
  EchoMessage message(const std::string& payload) const {
    EchoMessage message;
    message.set_payload(payload);
    return message;
  }

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Echo::Stub> stub_;
};

TEST_P(Ways, CarryEveryKindOfCall) {
  {
    Context context;
    address(context);
    EchoMessage reply;
    const grpc::Status status = stub_->Unary(&context, message("hello"), &reply);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(reply.payload(), "hello");
  }
  {
    Context context;
    address(context);
    echo::v1::StreamRequest request;
    request.set_payload(std::string(10'000, 's'));
    request.set_repeat(300);
    const auto reader = stub_->ServerStream(&context, request);
    int count = 0;
    for (EchoMessage reply; reader->Read(&reply); ++count) {
      ASSERT_EQ(reply.payload(), request.payload());
    }
    EXPECT_TRUE(reader->Finish().ok());
    EXPECT_EQ(count, 300);
  }
  {
    Context context;
    address(context);
    echo::v1::Summary summary;
    const auto writer = stub_->ClientStream(&context, &summary);
    for (int i = 0; i < 300; ++i) ASSERT_TRUE(writer->Write(message(std::string(10'000, 'c'))));
    writer->WritesDone();
    EXPECT_TRUE(writer->Finish().ok());
    EXPECT_EQ(summary.messages(), 300U);
    EXPECT_EQ(summary.bytes(), 3'000'000U);
  }
  {
    Context context;
    address(context);
    const auto stream = stub_->BidiStream(&context);
    // Each one waits for its answer, so that nothing in between may wait for more.
    for (int i = 0; i < 20; ++i) {
      ASSERT_TRUE(stream->Write(message(std::to_string(i))));
      EchoMessage reply;
      ASSERT_TRUE(stream->Read(&reply));
      EXPECT_EQ(reply.payload(), std::to_string(i));
    }
    stream->WritesDone();
    EchoMessage none;
    EXPECT_FALSE(stream->Read(&none));
    EXPECT_TRUE(stream->Finish().ok());
  }
}

TEST_P(Ways, CarryMetadataTrailersAndStatuses) {
  Context context;
  address(context);
  context.AddMetadata("x-word", "value");
  context.AddMetadata("x-bytes-bin", std::string("\0\xfe", 2));
  context.AddMetadata("plugind-peer-uid", "forged");
  EchoMessage reply;
  ASSERT_TRUE(stub_->Unary(&context, message("!metadata"), &reply).ok());
  EXPECT_THAT(reply.payload(), HasSubstr("x-word=value\n"));
  EXPECT_THAT(reply.payload(), HasSubstr(std::string("x-bytes-bin=\0\xfe\n", 15)));
  EXPECT_THAT(reply.payload(), HasSubstr("plugind-peer-uid=" + std::to_string(::geteuid()) + "\n"));
  EXPECT_THAT(reply.payload(), Not(HasSubstr("forged")));
  EXPECT_THAT(reply.payload(), Not(HasSubstr("plugind-plugin=")));
  EXPECT_EQ(context.GetServerInitialMetadata().find("x-first")->second, "initial");
  EXPECT_EQ(context.GetServerTrailingMetadata().find("x-last")->second, "trailing");
  EXPECT_EQ(context.GetServerTrailingMetadata().find("x-last-bin")->second,
            grpc::string_ref("\0\xff,", 3));

  Context refused;
  address(refused);
  const grpc::Status status = stub_->Unary(&refused, message("!refuse"), &reply);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(status.error_message(), "not today: 100 % ünlikely\n");
  EXPECT_EQ(status.error_details(), "details \1");
  EXPECT_EQ(refused.GetServerTrailingMetadata().find("x-last")->second, "trailing");
}

TEST_P(Ways, CarryDeadlinesAndCancellation) {
  ASSERT_TRUE(call(channel_, "warm", nullptr, GetParam().metadata).ok());
  {
    grpc::ClientContext context;
    address(context);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
    EchoMessage reply;
    EXPECT_EQ(stub_->Unary(&context, message("!wait"), &reply).error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  const auto lines = [&](const std::string& text) {
    Context context;
    v1::StreamLogsRequest request;
    request.set_name(GetParam().plugin);
    const auto reader = control()->StreamLogs(&context, request);
    int count = 0;
    for (v1::StreamLogsResponse entry; reader->Read(&entry);) {
      if (entry.line().text() == text) ++count;
    }
    EXPECT_TRUE(reader->Finish().ok());
    return count;
  };
  EXPECT_TRUE(eventually([&] { return lines("cancelled") == 1; })) << "the plugin is not told";

  Context context;
  address(context);
  std::jthread canceller([&] {
    eventually([&] { return lines("waiting") == 2; });
    context.TryCancel();
  });
  EchoMessage reply;
  EXPECT_EQ(stub_->Unary(&context, message("!wait"), &reply).error_code(),
            grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(eventually([&] { return lines("cancelled") == 2; })) << "the plugin is not told";
}

INSTANTIATE_TEST_SUITE_P(Sockets, Ways,
                         ::testing::Values(Way{"FrontByService", false, "echo", ""},
                                           Way{"FrontByName", false, "kv", "kv"},
                                           Way{"PluginSocketNative", true, "echo", ""},
                                           Way{"PluginSocketGoPlugin", true, "kv", ""}),
                         [](const auto& info) { return info.param.name; });

class Calls : public DaemonTest {};

TEST_F(Calls, FirstOnesAtTheSameTimeStartOneInstance) {
  usual_manifests();
  start();
  EXPECT_EQ(get_plugin("echo").state(), v1::INSTANCE_STATE_STOPPED);
  EXPECT_EQ(daemon_info().instances(), 0U);
  for (const char* plugin : {"echo", "kv"}) {
    std::vector<std::string> pids(20);
    {
      std::vector<std::jthread> callers;
      for (std::string& pid : pids) {
        callers.emplace_back([&, plugin] { pid = answer(plugin, "!pid"); });
      }
    }
    EXPECT_THAT(pids, ::testing::Each(pids.front()));
    const v1::Plugin status = get_plugin(plugin);
    EXPECT_EQ(status.starts(), 1U);
    ASSERT_EQ(status.instances_size(), 1);
    EXPECT_EQ(std::to_string(status.instances(0).pid()), pids.front());
    EXPECT_EQ(status.calls(), 20U);
  }
}

TEST_F(Calls, SixteenMebibytesGoBothWays) {
  usual_manifests();
  manifest("echo-cpp", {kEchoCpp});
  start();
  std::string large(16 << 20, '\0');
  std::uint32_t random = 1;
  for (char& byte : large) byte = static_cast<char>((random = random * 1664525 + 1013904223) >> 24);

  for (const char* plugin : {"echo", "kv", "echo-cpp"}) {
    EXPECT_TRUE(answer(plugin, large) == large) << plugin;
  }

  pd_error* error = nullptr;
  pd_client* client = pd_connect(directory_.socket().c_str(), 30'000, &error);
  ASSERT_NE(client, nullptr) << pd_error_message(error);
  EchoMessage message;
  message.set_payload(large);
  const std::string request = message.SerializeAsString();
  pd_reply* reply = pd_invoke(client, "echo-cpp", "/echo.v1.Echo/Unary", request.data(),
                              request.size(), nullptr, &error);
  ASSERT_NE(reply, nullptr) << pd_error_message(error);
  EXPECT_TRUE(request ==
              std::string(static_cast<const char*>(pd_reply_data(reply)), pd_reply_size(reply)));
  pd_reply_free(reply);
  pd_close(client);
}

TEST_F(Calls, OfLibplugindAreToldOfFailuresByReason) {
  usual_manifests();
  start();
  HostProcess host(directory_, "echo");
  EXPECT_EQ(host.call("hello"), "hello");
  EXPECT_THAT(host.call("!signal 11"), HasSubstr("PLUGIN_CRASHED plugin 'echo' (pid "));
  EXPECT_EQ(host.call("again"), "again");
  host.leave();
}

}  // namespace
}  // namespace plugind::e2e
