// Who may do what, with peers of any user.
#include "daemon/forward/access.h"

#include <gtest/gtest.h>

#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

using platform::HostKey;
using platform::PeerIdentity;

constexpr std::uint32_t kDaemon = 900;

PeerIdentity peer_of(std::uint32_t uid, std::uint32_t gid, std::vector<std::uint32_t> groups = {}) {
  return {.known = true,
          .uid = uid,
          .gid = gid,
          .groups = std::move(groups),
          .pid = 4'711,
          .host = HostKey::of_process(4'711, 1)};
}

plugin::Manifest manifest_with(plugin::AccessList access) {
  plugin::Manifest manifest;
  manifest.name = "kv";
  manifest.file = "/etc/plugins.d/kv.toml";
  manifest.access = std::move(access);
  return manifest;
}

const AccessPolicy kPolicy(kDaemon);
const AccessPolicy kWithAdmins(kDaemon, plugin::Account{50, "wheel"});

bool may_call(const PeerIdentity& peer, const plugin::AccessList& list) {
  return !kWithAdmins.refuse_call(peer, manifest_with(list));
}

TEST(Access, WithoutListsEverybodyMayCall) {
  EXPECT_TRUE(may_call(peer_of(1'000, 1'000), {}));
  EXPECT_TRUE(may_call({.host = HostKey::unique()}, {}));
}

TEST(Access, AUserOrAGroupOfTheListsMayCallAndNobodyElse) {
  const plugin::AccessList list{
      .everybody = false, .users = {{1'000, "ada"}, {1'001, ""}}, .groups = {{70, "builders"}}};
  EXPECT_TRUE(may_call(peer_of(1'000, 1), list));
  EXPECT_TRUE(may_call(peer_of(1'001, 1), list));
  EXPECT_TRUE(may_call(peer_of(1'002, 70), list)) << "its own group";
  EXPECT_TRUE(may_call(peer_of(1'002, 1, {3, 70, 4}), list)) << "one of its others";
  EXPECT_FALSE(may_call(peer_of(1'002, 1, {3, 4}), list));
  EXPECT_FALSE(may_call(peer_of(70, 1'000, {1'001}), list)) << "a uid is no gid";
  EXPECT_FALSE(may_call(peer_of(1'002, 50), list)) << "who operates the daemon is no user of it";
}

TEST(Access, RootAndTheDaemonsUserMayCallWhateverTheListsSay) {
  const plugin::AccessList nobody{.everybody = false, .users = {}, .groups = {}};
  EXPECT_TRUE(may_call(peer_of(0, 0), nobody));
  EXPECT_TRUE(may_call(peer_of(kDaemon, 1), nobody));
  EXPECT_FALSE(may_call(peer_of(1, 0, {0, kDaemon}), nobody)) << "root's group is not root";
}

TEST(Access, WhoIsNotKnownIsNobodyInParticular) {
  // The uid of an unknown peer is 0, which means nothing.
  const PeerIdentity unknown{.host = HostKey::unique()};
  EXPECT_FALSE(may_call(unknown, {.everybody = false, .users = {{0, ""}}, .groups = {{0, ""}}}));
  EXPECT_TRUE(kWithAdmins.refuse_control(unknown, "/plugind.v1.PluginHost/StopPlugin"));
}

TEST(Access, ARefusalSaysWhoWhatAndWhere) {
  const auto error = kPolicy.refuse_call(
      peer_of(1'000, 1), manifest_with({.everybody = false, .users = {}, .groups = {}}));
  ASSERT_TRUE(error);
  EXPECT_EQ(error->reason, Reason::kPermissionDenied);
  EXPECT_EQ(error->message,
            "uid 1000 may not call plugin 'kv': it is neither in access.users nor in a group of "
            "access.groups in its manifest. Who maintains /etc/plugins.d/kv.toml can add it.");
  EXPECT_EQ(error->details, (std::vector<std::pair<std::string, std::string>>{{"plugin", "kv"}}));
}

TEST(Access, ControlCallsThatChangeSomethingAreForTheDaemonsUserRootAndAdmins) {
  for (const char* method : {"StartPlugin", "StopPlugin", "RestartPlugin", "ReloadManifests",
                             "Diagnose", "AddedLater", "", "ListPlugins/", "listplugins"}) {
    const std::string path = std::string("/plugind.v1.PluginHost/") + method;
    EXPECT_TRUE(kWithAdmins.refuse_control(peer_of(1'000, 1, {2}), path)) << path;
    EXPECT_FALSE(kWithAdmins.refuse_control(peer_of(1'000, 50), path)) << path;
    EXPECT_FALSE(kWithAdmins.refuse_control(peer_of(1'000, 1, {50}), path)) << path;
    EXPECT_FALSE(kWithAdmins.refuse_control(peer_of(0, 0), path)) << path;
    EXPECT_FALSE(kWithAdmins.refuse_control(peer_of(kDaemon, 1), path)) << path;
    EXPECT_TRUE(kPolicy.refuse_control(peer_of(1'000, 50), path)) << "no admin group is set";
    EXPECT_TRUE(kPolicy.refuse_control(peer_of(1'000, 0), path));
  }
  EXPECT_TRUE(kPolicy.refuse_control(peer_of(1'000, 1), "/plugind.v1.Other/Call"));
  EXPECT_TRUE(kPolicy.refuse_control(peer_of(1'000, 1), ""));
}

TEST(Access, WhoMayConnectMayLook) {
  for (const char* path :
       {"/plugind.v1.PluginHost/ListPlugins", "/plugind.v1.PluginHost/GetPlugin",
        "/plugind.v1.PluginHost/GetDaemonInfo", "/plugind.v1.PluginHost/StreamLogs",
        "/plugind.v1.PluginHost/WatchEvents", "/plugind.v1.PluginHost/ListCrashes",
        "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    EXPECT_FALSE(kPolicy.refuse_control(peer_of(1'000, 1), path)) << path;
  }
}

TEST(Access, ARefusedControlCallIsToldWhoMayMakeIt) {
  const std::string path = "/plugind.v1.PluginHost/StopPlugin";
  EXPECT_EQ(kPolicy.refuse_control(peer_of(1'000, 1), path)->message,
            "uid 1000 may not call /plugind.v1.PluginHost/StopPlugin, which changes something. "
            "Call it as the daemon's user (uid 900), as root, or as a member of an admin group "
            "(--admin-group, which is not set).");
  EXPECT_NE(kWithAdmins.refuse_control(peer_of(1'000, 1), path)
                ->message.find("a member of the group 'wheel' (50) (--admin-group)"),
            std::string::npos);
}

// -- through the forwarder --------------------------------------------------------------------

class IdentityTest : public ForwardTest {
 protected:
  IdentityTest() {
    policy_.access = AccessPolicy(kDaemon, plugin::Account{50, "wheel"});
    policy_.identify = [this](int) { return peer_; };
    serve_ = [](Peer& plugin, Stream& stream) {
      plugin.respond(stream);
      plugin.trailers(stream);
    };
  }
  /// Calls as `peer`, on the front socket or on a plugin's.
  std::map<std::string, std::string> call(const PeerIdentity& peer, const std::string& path,
                                          const std::string& socket = "",
                                          const Peer::Headers& headers = {}) {
    peer_ = peer;
    const auto host = connect(socket);
    Stream& stream = host->request(path, headers, false);
    wait_closed(stream);
    return stream.trailers;
  }
  /// Plays the control service.
  void serve_control() {
    using Local = boost::asio::local::stream_protocol;
    acceptor_.emplace(loop_, Local::endpoint((directory_ / "control.sock").string()));
    acceptor_->async_accept([this](const boost::system::error_code& ec, Local::socket socket) {
      if (ec) return;
      control_ =
          std::make_shared<Peer>(queue_, Transport::Socket(std::move(socket)), wire::Role::kServer);
      control_->on_request = [this](Stream& stream) { serve_(*control_, stream); };
    });
  }

  PeerIdentity peer_ = peer_of(1'000, 1'000);
  std::optional<boost::asio::local::stream_protocol::acceptor> acceptor_;
  std::shared_ptr<Peer> control_;
};

TEST_F(IdentityTest, APluginIsClosedToOthersOnBothSockets) {
  auto m = manifest("echo");
  m.access = {.everybody = false, .users = {{1'000, "ada"}}, .groups = {{70, "dev"}}};
  apply({m});
  for (const char* socket : {"", "echo"}) {
    auto told = call(peer_of(1'001, 1'001, {5}), "/test.echo/Do", socket);
    EXPECT_EQ(told["grpc-status"], "7") << socket;
    EXPECT_NE(told["grpc-message"].find("uid 1001 may not call plugin 'echo'"), std::string::npos);
    EXPECT_TRUE(told.contains("grpc-status-details-bin"));
  }
  EXPECT_EQ(call(peer_of(1'001, 1), "/other/Do", "", {{"plugind-plugin", "echo"}})["grpc-status"],
            "7");
  EXPECT_EQ(starts_, 0) << "who may not call does not start it either";
  for (const char* socket : {"", "echo"}) {
    EXPECT_EQ(call(peer_of(1'000, 1), "/test.echo/Do", socket)["grpc-status"], "0");
    EXPECT_EQ(call(peer_of(1'001, 1, {70}), "/test.echo/Do", socket)["grpc-status"], "0");
    EXPECT_EQ(call(peer_of(kDaemon, 1), "/test.echo/Do", socket)["grpc-status"], "0");
  }
}

TEST_F(IdentityTest, ThePluginSeesWhoReallyCallsWhateverTheHostSays) {
  apply({manifest("echo")});
  const Peer::Headers forged = {{"plugind-peer-uid", "0"},        {"plugind-call-id", "forged"},
                                {"plugind-plugin", "echo"},       {"plugind-", "x"},
                                {"plugind-anything-bin", "AAAA"}, {"plugind-peer-uid", "0"}};
  for (const char* socket : {"", "echo"}) {
    EXPECT_EQ(call(peer_of(1'234, 1), "/test.echo/Do", socket, forged)["grpc-status"], "0");
    std::map<std::string, std::string> ours;
    for (const auto& [name, value] : plugin().streams.rbegin()->second->headers) {
      if (name.starts_with("plugind-")) ours.emplace(name, value);
    }
    EXPECT_EQ(ours.size(), 2u) << socket;
    EXPECT_EQ(ours["plugind-peer-uid"], "1234");
    EXPECT_NE(ours["plugind-call-id"], "forged");
  }
}

TEST_F(IdentityTest, AProcessThatBecameAnotherUsersIsAnotherHost) {
  auto m = manifest("kv");
  m.scope = plugin::Scope::kHost;
  apply({m});
  peer_ = peer_of(1'000, 1);
  const auto before = connect("kv");
  Stream& first = before->request("/test.kv/Do", {}, false);
  wait_closed(first);
  EXPECT_EQ(starts_, 1);
  EXPECT_EQ(call(peer_of(1'000, 1), "/test.kv/Do", "kv")["grpc-status"], "0");
  EXPECT_EQ(starts_, 1);
  EXPECT_EQ(call(peer_of(0, 1), "/test.kv/Do", "kv")["grpc-status"], "0");
  EXPECT_EQ(starts_, 2);
}

TEST_F(IdentityTest, ControlCallsThatChangeSomethingDoNotReachTheService) {
  serve_control();
  apply({manifest("echo")});
  const std::string stop = "/plugind.v1.PluginHost/StopPlugin";
  EXPECT_EQ(call(peer_of(1'000, 1), stop)["grpc-status"], "7");
  EXPECT_EQ(call(peer_of(1'000, 1), stop, "", {{"plugind-peer-uid", "0"}})["grpc-status"], "7");
  EXPECT_EQ(control_, nullptr);
  EXPECT_EQ(call(peer_of(1'000, 50), stop, "", {{"plugind-peer-uid", "0"}})["grpc-status"], "0");
  EXPECT_EQ(control_->streams.rbegin()->second->headers["plugind-peer-uid"], "1000");
  EXPECT_EQ(call(peer_of(1'000, 1), "/plugind.v1.PluginHost/ListPlugins")["grpc-status"], "0");
  EXPECT_EQ(control_->streams.size(), 2u);
}

TEST_F(IdentityTest, APluginOfTheSameServiceIsNotTheControlService) {
  serve_control();
  apply({manifest("echo")});
  // Named, or on its socket, the plugin gets the call; it can stop nobody.
  EXPECT_EQ(call(peer_of(1'000, 1), "/plugind.v1.PluginHost/StopPlugin", "echo")["grpc-status"],
            "0");
  EXPECT_EQ(control_, nullptr);
}

}  // namespace
}  // namespace plugind::forward::testing
