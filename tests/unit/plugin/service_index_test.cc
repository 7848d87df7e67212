#include "daemon/plugin/service_index.h"

#include <gmock/gmock.h>

#include "tests/unit/plugin/supervisor_fixture.h"

namespace plugind::plugin {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ServiceIndexTest : public SupervisorTest {
 protected:
  static Manifest declaring(const std::string& name, std::vector<std::string> services) {
    Manifest m = manifest(name);
    m.services = std::move(services);
    return m;
  }
  std::vector<std::string> names(std::string_view service) const {
    std::vector<std::string> names;
    for (const auto& plugin : supervisor_->declaring(service)) names.push_back(plugin->name());
    return names;
  }
};

TEST_F(ServiceIndexTest, FindsThePluginsThatDeclareAServiceByName) {
  supervisor_->apply({declaring("c", {"a.B"}), declaring("a", {"x.Y", "a.B"}), declaring("b", {})});
  EXPECT_THAT(names("a.B"), ElementsAre("a", "c"));
  EXPECT_THAT(names("x.Y"), ElementsAre("a"));
  EXPECT_THAT(names("a.Bc"), IsEmpty());
  EXPECT_THAT(names(""), IsEmpty());
}

TEST_F(ServiceIndexTest, APluginThatNamesAServiceTwiceIsOne) {
  supervisor_->apply({declaring("a", {"a.B", "c.D", "a.B"})});
  EXPECT_THAT(names("a.B"), ElementsAre("a"));
}

TEST_F(ServiceIndexTest, ThoseOfADialectAreOfAllItsPlugins) {
  Manifest of_go_plugin = declaring("b", {"a.B"});
  of_go_plugin.dialect = DialectKind::kGoPlugin;
  supervisor_->apply({declaring("a", {}), of_go_plugin});
  EXPECT_THAT(names("plugin.GRPCController"), ElementsAre("b"));
  EXPECT_THAT(names("plugin.GRPCBroker"), ElementsAre("b"));
  EXPECT_THAT(names("a.B"), ElementsAre("b"));
}

TEST_F(ServiceIndexTest, FollowsManifests) {
  supervisor_->apply({declaring("a", {"a.B"})});
  ASSERT_THAT(names("a.B"), ElementsAre("a"));
  supervisor_->apply({declaring("a", {"a.B"}), declaring("b", {"a.B"})});
  EXPECT_THAT(names("a.B"), ElementsAre("a", "b")) << "one was added";
  supervisor_->apply({declaring("a", {"c.D"}), declaring("b", {"a.B"})});
  EXPECT_THAT(names("a.B"), ElementsAre("b")) << "one was changed";
  EXPECT_THAT(names("c.D"), ElementsAre("a"));
  supervisor_->apply({declaring("a", {"c.D"})});
  EXPECT_THAT(names("a.B"), IsEmpty()) << "one was removed";
}

TEST_F(ServiceIndexTest, DoesNotKeepAPluginThatWasRemoved) {
  supervisor_->apply({declaring("a", {"a.B"})});
  const std::weak_ptr<CallTarget> plugin = supervisor_->declaring("a.B").front();
  supervisor_->apply({});
  settle();
  EXPECT_TRUE(plugin.expired());
}

TEST_F(ServiceIndexTest, AnUpgradedPluginIsTheNewOne) {
  supervisor_->apply({declaring("a", {"a.B"})});
  const auto before = supervisor_->declaring("a.B").front();
  supervisor_->upgrade(declaring("a", {"a.B", "c.D"}), [](const auto&) {});
  testing::run_ready(loop_);
  settle();
  ASSERT_THAT(names("c.D"), ElementsAre("a"));
  EXPECT_NE(supervisor_->declaring("a.B").front(), before);
}

}  // namespace
}  // namespace plugind::plugin
