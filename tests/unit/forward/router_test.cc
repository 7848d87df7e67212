// Where a call goes, and what a caller is told whose words lead nowhere.
#include "daemon/forward/router.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <string>

#include "daemon/plugin/supervisor.h"
#include "tests/support/fake_connection.h"
#include "tests/support/fake_dialect.h"
#include "tests/support/fake_process.h"
#include "tests/support/manual_clock.h"

namespace plugind::forward {
namespace {

using plugind::testing::FakeConnector;

class RouterTest : public ::testing::Test {
 protected:
  RouterTest() { add("kv", plugin::DialectKind::kNative, {"proto.KV"}, "1.2.0"); }

  void add(const std::string& name, plugin::DialectKind dialect,
           std::vector<std::string> services = {}, const std::string& version = "") {
    plugin::Manifest manifest;
    manifest.name = name;
    manifest.version = version;
    manifest.dialect = dialect;
    manifest.command = {"/bin/true"};
    manifest.services = std::move(services);
    manifests_.push_back(std::move(manifest));
    supervisor_.apply(manifests_);
  }

  Error error_of(const std::string& path, const std::string& plugin = "") {
    wire::HeaderList headers;
    headers.add(":path", path);
    if (!plugin.empty()) headers.add("plugind-plugin", plugin);
    auto target = Router(supervisor_).route("", headers, use_);
    EXPECT_FALSE(target);
    return target ? make_error(Reason::kInternal, "") : target.error();
  }

  /// The name of the plugin that a call goes to, "control" for the daemon's own services, or the
  /// reason why it goes nowhere.
  std::string way_of(const std::string& path, const std::string& bound = "",
                     const std::string& plugin = "") {
    wire::HeaderList headers;
    headers.add(":path", path);
    if (!plugin.empty()) headers.add("plugind-plugin", plugin);
    auto target = Router(supervisor_).route(bound, headers, use_);
    if (!target) return std::string(reason_name(target.error().reason));
    return target->plugin ? target->plugin->name() : "control";
  }

  GoPluginUse use_;  // Of the one connection that all calls of a test are on.
  std::vector<plugin::Manifest> manifests_;
  boost::asio::io_context loop_;
  plugind::testing::ManualClock clock_{loop_};
  plugind::testing::FakeProcessFactory processes_;
  FakeConnector connector_{clock_};
  plugind::testing::FakeDialect dialect_;
  plugin::Supervisor supervisor_{
      plugin::Environment{.loop = loop_.get_executor(),
                          .clock = clock_,
                          .processes = processes_,
                          .connector = connector_,
                          .dialects = {{plugin::DialectKind::kNative, &dialect_},
                                       {plugin::DialectKind::kGoPlugin, &dialect_}},
                          .runtime_dir = "/nonexistent"}};
};

// HTTP/2 lets bytes over 0x7f pass; protobuf's strings, in which the details travel, do not.
TEST_F(RouterTest, AServiceThatIsNoTextIsShownAsText) {
  EXPECT_TRUE(error_of("/a\x8e/b").message.starts_with("no plugin declares the service 'a\\x8e'."));
}

TEST_F(RouterTest, APluginThatIsNoTextIsShownAsText) {
  const Error error = error_of("/a/b", "k\xff");
  EXPECT_TRUE(error.message.starts_with("no plugin 'k\\xff' is registered; there are: kv@1.2.0"))
      << error.message;
  ASSERT_EQ(error.details.size(), 1u);
  EXPECT_EQ(error.details[0].second, "k\\xff");
}

TEST_F(RouterTest, LongNamesAreCut) {
  const std::string name(20'000, 'x');
  EXPECT_LT(error_of("/" + name + "/b").message.size(), 600u);
  const Error error = error_of("/a/b", name);
  EXPECT_LT(error.message.size(), 600u);
  EXPECT_LT(error.details[0].second.size(), 300u);
}

TEST_F(RouterTest, ThePluginSocketDecidesBeforeWhatACallSays) {
  add("echo", plugin::DialectKind::kNative, {"echo.v1.Echo"});
  EXPECT_EQ(way_of("/echo.v1.Echo/Unary", "", "kv"), "kv");
  EXPECT_EQ(way_of("/echo.v1.Echo/Unary", "kv", "echo"), "kv");
  EXPECT_EQ(way_of("/echo.v1.Echo/Unary", "kv", "nobody"), "kv");
}

// -- hosts of go-plugin -----------------------------------------------------------------------

const char* const kStdio = "/plugin.GRPCStdio/StreamStdio";
const char* const kBroker = "/plugin.GRPCBroker/StartStream";
const char* const kShutdown = "/plugin.GRPCController/Shutdown";
const char* const kHealth = "/grpc.health.v1.Health/Check";

TEST_F(RouterTest, GoPluginsServicesAreTheOnlyPluginsOfThatDialect) {
  add("go", plugin::DialectKind::kGoPlugin);
  for (const char* path : {kStdio, kBroker, kShutdown}) EXPECT_EQ(way_of(path), "go") << path;
  EXPECT_EQ(way_of("/plugin.Other/Call"), "SERVICE_NOT_FOUND");
}

TEST_F(RouterTest, HealthIsThePluginsForAHostOfGoPlugin) {
  add("go", plugin::DialectKind::kGoPlugin, {"proto.Go"});
  use_.calls("go");
  EXPECT_EQ(way_of(kHealth), "control") << "a host on stubs asks about the daemon";
  EXPECT_EQ(way_of(kShutdown), "go");
  EXPECT_EQ(way_of(kHealth), "go");
  EXPECT_EQ(way_of("/plugind.v1.PluginHost/ListPlugins"), "control");
  EXPECT_EQ(way_of("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"), "control");
}

TEST_F(RouterTest, OfSeveralGoPluginPluginsItIsTheOneThatTheConnectionCalls) {
  add("go", plugin::DialectKind::kGoPlugin);
  add("og", plugin::DialectKind::kGoPlugin);
  EXPECT_EQ(way_of(kStdio), "SERVICE_AMBIGUOUS");
  EXPECT_EQ(way_of(kHealth), "SERVICE_AMBIGUOUS") << "not the daemon's: a host of go-plugin asks";
  use_.calls("og");
  for (const char* path : {kStdio, kBroker, kShutdown, kHealth}) EXPECT_EQ(way_of(path), "og");
  use_.calls("go");
  EXPECT_EQ(way_of(kShutdown), "SERVICE_AMBIGUOUS") << "it calls two";
  EXPECT_EQ(way_of(kShutdown, "", "go"), "go") << "named";
  EXPECT_EQ(way_of(kShutdown, "og"), "og") << "on its socket";
}

TEST_F(RouterTest, AHostOfGoPluginIsToldWhichPluginsThereAre) {
  const Error none = error_of(kStdio);
  EXPECT_EQ(none.reason, Reason::kServiceNotFound);
  EXPECT_NE(none.message.find("no plugin of that dialect is registered. Write dialect = "),
            std::string::npos)
      << none.message;
  add("og", plugin::DialectKind::kGoPlugin);
  add("go", plugin::DialectKind::kGoPlugin);
  EXPECT_EQ(
      error_of(kHealth).message,
      "a host of go-plugin calls 'grpc.health.v1.Health', and its plugin may be any of these: "
      "go, og. Attach it to the plugin socket of one, or name one in the metadata "
      "`plugind-plugin`.");
}

TEST_F(RouterTest, APluginThatACallNoLongerFindsIsForgotten) {
  add("go", plugin::DialectKind::kGoPlugin);
  use_.calls("gone");
  EXPECT_EQ(way_of(kStdio), "go");
  add("og", plugin::DialectKind::kGoPlugin);
  EXPECT_EQ(way_of(kStdio), "SERVICE_AMBIGUOUS");
}

}  // namespace
}  // namespace plugind::forward
