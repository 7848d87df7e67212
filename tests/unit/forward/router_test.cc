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
  RouterTest() {
    plugin::Manifest manifest;
    manifest.name = "kv";
    manifest.version = "1.2.0";
    manifest.command = {"/bin/true"};
    manifest.services = {"proto.KV"};
    std::vector<plugin::Manifest> manifests;
    manifests.push_back(std::move(manifest));
    supervisor_.apply(std::move(manifests));
  }

  Error error_of(const std::string& path, const std::string& plugin = "") {
    wire::HeaderList headers;
    headers.add(":path", path);
    if (!plugin.empty()) headers.add("plugind-plugin", plugin);
    auto target = Router(supervisor_).route("", headers);
    EXPECT_FALSE(target);
    return target ? make_error(Reason::kInternal, "") : target.error();
  }

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
                          .dialects = {{plugin::DialectKind::kNative, &dialect_}},
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

}  // namespace
}  // namespace plugind::forward
