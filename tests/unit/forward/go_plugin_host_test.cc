// A host of go-plugin on the front socket, where nothing names its plugin.
#include <gtest/gtest.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <optional>

#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

class GoPluginHostTest : public ForwardTest {
 protected:
  GoPluginHostTest() {
    serve_ = [this](Peer& plugin, Stream& stream) {
      seen_.push_back(stream.headers[":path"]);
      plugin.respond(stream);
      plugin.trailers(stream);
    };
  }
  plugin::Manifest go_plugin(const std::string& name) {
    plugin::Manifest m = manifest(name);
    m.dialect = plugin::DialectKind::kGoPlugin;
    m.scope = plugin::Scope::kHost;
    m.host_linger = std::chrono::milliseconds(0);
    return m;
  }
  /// The trailers of a call without a name.
  std::map<std::string, std::string> call(Peer& host, const std::string& path) {
    Stream& stream = host.request(path, {}, false);
    wait_closed(stream);
    return stream.trailers;
  }
  /// Opens the host's copy of the output, as go-plugin's library does before anything else.
  void attach(Peer& host) {
    const Stream& output = host.request("/plugin.GRPCStdio/StreamStdio", {}, false);
    run_until([&] { return !output.headers.empty(); }, "the beginning of the output");
    ASSERT_FALSE(output.ended) << output.trailers.at("grpc-message");
  }
  /// Plays the control service.
  void serve_control() {
    using Local = boost::asio::local::stream_protocol;
    acceptor_.emplace(loop_, Local::endpoint((directory_ / "control.sock").string()));
    acceptor_->async_accept([this](const boost::system::error_code& ec, Local::socket socket) {
      if (ec) return;
      control_ =
          std::make_shared<Peer>(queue_, Transport::Socket(std::move(socket)), wire::Role::kServer);
      control_->on_request = [this](Stream& stream) {
        asked_control_.push_back(stream.headers[":path"]);
        control_->respond(stream);
        control_->trailers(stream);
      };
    });
  }

  std::vector<std::string> seen_;  // What plugins were asked.
  std::vector<std::string> asked_control_;
  std::optional<boost::asio::local::stream_protocol::acceptor> acceptor_;
  std::shared_ptr<Peer> control_;
};

const std::string kHealth = "/grpc.health.v1.Health/Check";
const std::string kShutdown = "/plugin.GRPCController/Shutdown";

TEST_F(GoPluginHostTest, AttachesPingsCallsAndLetsGo) {
  apply({go_plugin("kv"), manifest("echo")});
  const auto host = connect();
  const auto same_host = connect();  // Keeps the host there when the first connection has gone.
  attach(*host);
  EXPECT_EQ(call(*host, kHealth)["grpc-status"], "0");
  EXPECT_EQ(call(*host, "/test.kv/Put")["grpc-status"], "0");
  EXPECT_EQ(call(*host, "/plugin.GRPCBroker/StartStream")["grpc-status"], "0");
  EXPECT_EQ(seen_,
            (std::vector<std::string>{kHealth, "/test.kv/Put", "/plugin.GRPCBroker/StartStream"}));
  ASSERT_EQ(processes_.living(), 1u);
  EXPECT_EQ(call(*host, kShutdown)["grpc-status"], "0");
  run_until([&] { return processes_.living() == 0; }, "the instance to end");
  EXPECT_EQ(seen_.size(), 3u) << "the daemon answers Shutdown";
}

TEST_F(GoPluginHostTest, HealthOfOtherConnectionsIsTheDaemons) {
  serve_control();
  apply({go_plugin("kv")});
  const auto host = connect(), operator_connection = connect();
  attach(*host);
  EXPECT_EQ(call(*operator_connection, "/test.kv/Put")["grpc-status"], "0");
  EXPECT_EQ(call(*operator_connection, kHealth)["grpc-status"], "0");
  EXPECT_EQ(asked_control_, std::vector<std::string>{kHealth});
  EXPECT_EQ(seen_, std::vector<std::string>{"/test.kv/Put"});
}

TEST_F(GoPluginHostTest, OfSeveralPluginsItsCallsSayWhichIsMeant) {
  apply({go_plugin("kv"), go_plugin("vk")});
  const auto host = connect();
  const auto refused = call(*host, "/plugin.GRPCStdio/StreamStdio");
  EXPECT_EQ(refused.at("grpc-status"), "9");
  EXPECT_NE(refused.at("grpc-message").find("kv, vk"), std::string::npos);
  EXPECT_EQ(call(*host, kHealth)["grpc-status"], "9");
  EXPECT_EQ(starts_, 0);

  EXPECT_EQ(call(*host, "/test.vk/Put")["grpc-status"], "0");
  EXPECT_EQ(call(*host, kHealth)["grpc-status"], "0");
  EXPECT_EQ(seen_, (std::vector<std::string>{"/test.vk/Put", kHealth}));
  EXPECT_EQ(starts_, 1);
  EXPECT_EQ(call(*host, kShutdown)["grpc-status"], "0");
  run_until([&] { return processes_.living() == 0; }, "the instance to end");

  EXPECT_EQ(call(*host, "/test.kv/Put")["grpc-status"], "0");
  EXPECT_EQ(call(*host, kShutdown)["grpc-status"], "9") << "it calls two now";
}

// A plugin that may not be called does not become the connection's.
TEST_F(GoPluginHostTest, ARefusedCallSaysNothing) {
  auto closed = go_plugin("vk");
  closed.access = {.everybody = false, .users = {}, .groups = {}};
  policy_.access = AccessPolicy(900);
  policy_.identify = [](int) {
    return platform::PeerIdentity{
        .known = true, .uid = 1'000, .host = platform::HostKey::of_process(4'711, 1)};
  };
  apply({go_plugin("kv"), closed});
  const auto host = connect();
  EXPECT_EQ(call(*host, "/test.vk/Put")["grpc-status"], "7");
  EXPECT_EQ(call(*host, "/test.kv/Put")["grpc-status"], "0");
  EXPECT_EQ(call(*host, "/plugin.GRPCBroker/StartStream")["grpc-status"], "0");
  EXPECT_EQ(seen_.back(), "/plugin.GRPCBroker/StartStream");
}

}  // namespace
}  // namespace plugind::forward::testing
