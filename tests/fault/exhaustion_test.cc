// No descriptors left: those of a plugin, and the daemon's own.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "tests/fault/fault_test.h"
#include "tests/support/raw_http2.h"

namespace plugind::e2e {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;

class Exhaustion : public FaultTest {
 protected:
  /// The daemon may have so many descriptors more than it has now.  Only its soft limit changes.
  void leave_descriptors(std::size_t more) {
    ASSERT_EQ(::prlimit(daemon().pid(), RLIMIT_NOFILE, nullptr, &usual_), 0);
    rlimit low = usual_;
    low.rlim_cur = testing::descriptors_of(daemon().pid()) + more;
    ASSERT_EQ(::prlimit(daemon().pid(), RLIMIT_NOFILE, &low, nullptr), 0);
  }
  void give_descriptors_back() {
    ASSERT_EQ(::prlimit(daemon().pid(), RLIMIT_NOFILE, &usual_, nullptr), 0);
  }
  /// Connects as a host, and stays.  What a host is told that is refused; "" if it is not.
  std::string connect() {
    testing::RawConnection& connection = connections_.emplace_back(directory_.socket());
    connection.send(testing::http2_preface());
    const auto first = connection.read_frame();
    if (!first) return "no answer";
    if (first->type == testing::FrameType::kSettings) return "";
    EXPECT_EQ(first->type, testing::FrameType::kGoaway);
    EXPECT_TRUE(connection.read_to_end()) << "the connection is closed";
    connections_.pop_back();
    return first->payload.substr(8);
  }
  /// Until one is refused; what that one was told.
  std::string connect_until_refused(std::size_t most) {
    while (connections_.size() <= most) {
      if (const std::string why = connect(); !why.empty()) return why;
    }
    return "";
  }
  /// All that connected; until there is room again.
  void leave() {
    connections_.clear();
    EXPECT_TRUE(eventually([this] { return call(front(), "hello", nullptr, "echo").ok(); }));
  }
  std::size_t lines_with(const std::string& text) {
    const std::string log = daemon().log();
    std::size_t count = 0;
    for (auto at = log.find(text); at != log.npos; at = log.find(text, at + 1)) ++count;
    return count;
  }

  rlimit usual_{};
  std::deque<testing::RawConnection> connections_;
};

TEST_F(Exhaustion, OfTheDaemonsDescriptorsIsToldAndPasses) {
  usual_manifests();
  manifest("cold", {kTestPlugin});
  start();
  ASSERT_EQ(answer("echo", "warm"), "warm");
  ASSERT_EQ(answer("cold", "warm"), "warm");
  take_stock();
  const auto channel = front();
  v1::StopPluginRequest cold;
  cold.set_name("cold");
  Context stopping;
  v1::StopPluginResponse stopped;
  ASSERT_TRUE(Control::NewStub(channel)->StopPlugin(&stopping, cold, &stopped).ok());
  Callers others(
      4, [this] { return front(); }, "echo");

  leave_descriptors(5);
  EXPECT_THAT(connect_until_refused(60),
              AllOf(HasSubstr("as many open files as it may"), HasSubstr("LimitNOFILE=")));
  EXPECT_TRUE(
      daemon().wait_log("event=accept-failed detail=\"plugind has as many open files as it "
                        "may (LimitNOFILE=, ulimit -n): raise that limit"));

  // A plugin cannot be started now, and who asked for it is told why.
  v1::StartPluginRequest start_cold;
  start_cold.set_name("cold");
  Context starting;
  v1::StartPluginResponse started;
  const grpc::Status refused =
      Control::NewStub(channel)->StartPlugin(&starting, start_cold, &started);
  EXPECT_EQ(outcome_of(refused), "status 14 SPAWN_FAILED");
  EXPECT_THAT(refused.error_message(), HasSubstr("raise its limit (ulimit -n, LimitNOFILE=)"));

  // However many come, the log is not flooded.
  constexpr int kMore = 300;
  for (int i = 0; i < kMore; ++i) {
    EXPECT_THAT(connect(), HasSubstr("as many open files as it may"));
  }
  EXPECT_LE(lines_with("event=accept-failed"), kMore / 3u);
  EXPECT_THAT(others.end(), ElementsAre(Key("OK"))) << "of hosts that were there before";

  leave();
  give_descriptors_back();
  EXPECT_EQ(answer("cold", "hello"), "hello");
}

/// How many of the sockets that this one has accepted are connected.
std::size_t connections_to(const std::filesystem::path& socket) {
  constexpr int kPath = 8, kState = 6;  // Of the fields in /proc/net/unix.
  std::ifstream table("/proc/net/unix");
  std::size_t count = 0;
  for (std::string line; std::getline(table, line);) {
    std::istringstream text(line);
    std::vector<std::string> fields(std::istream_iterator<std::string>(text), {});
    if (fields.size() == kPath && fields[7] == socket && fields[kState - 1] == "03") ++count;
  }
  return count;
}

// grpc++ never accepts again after an accept for which there was no descriptor.
TEST_F(Exhaustion, OfDescriptorsDoesNotCloseTheControlService) {
  usual_manifests();
  // The fixture's way to start would have called it already.
  daemon_ = std::make_unique<testing::DaemonProcess>(directory_, std::vector<std::string>{},
                                                     std::vector<std::string>{kPlugind});
  ASSERT_TRUE(daemon_->wait_started());
  cgroup_ = daemon_->cgroup();
  ASSERT_TRUE(eventually(
      [this] { return connections_to(directory_.runtime() / "instances" / "control.sock") == 1; }));
  for (const std::size_t more : {1, 2, 3, 4}) {
    leave_descriptors(more);
    const testing::Run run = testing::run({PLUGINCTL, "--socket", directory_.socket(), "version"});
    EXPECT_EQ(run.exit, Exit{.code = 0}) << more << " left: " << run.err;
    give_descriptors_back();
  }
}

TEST_F(Exhaustion, OfTheConnectionsThatALowLimitAllowsIsTold) {
  usual_manifests();
  start({}, {"prlimit", "--nofile=200", kPlugind});
  EXPECT_TRUE(daemon().wait_log("event=connections-limited"));
  EXPECT_TRUE(daemon().wait_log("the limit on open files (LimitNOFILE=, ulimit -n)"));
  ASSERT_EQ(answer("echo", "warm"), "warm");
  take_stock();
  EXPECT_THAT(connect_until_refused(200), HasSubstr("--max-connections"));
  leave();
  EXPECT_EQ(answer("kv", "hello"), "hello");
}

TEST_F(Exhaustion, OfAPluginsDescriptorsEndsWithANewOne) {
  manifest("greedy", {kTestPlugin}, "limits.open_files = 200\n");
  manifest("echo", {kTestPlugin}, "services = ['echo.v1.Echo']\n");
  start();
  const std::string first = answer("greedy", "!pid");
  ASSERT_EQ(answer("echo", "warm"), "warm");
  take_stock();
  Callers others(
      2, [this] { return front(); }, "echo");
  Callers callers(
      4, [this] { return front(); }, "greedy");
  EXPECT_EQ(answer("greedy", "!exhaust-files"), "Too many open files");
  EXPECT_EQ(answer("greedy", "!pid"), first) << "its connection is as good as before";

  // It cannot take another one.
  EXPECT_EQ(outcome_of(call(front(), "!hang-up", nullptr, "greedy")),
            "status 14 PLUGIN_PROTOCOL_ERROR");
  EXPECT_NE(answer("greedy", "!pid"), first);
  EXPECT_FALSE(testing::alive(std::stoi(first)));
  const Outcomes outcomes = callers.end();
  EXPECT_GT(outcomes.at("OK"), 0);
  for (const auto& [outcome, count] : outcomes) {
    EXPECT_THAT(outcome, ::testing::AnyOf("OK", "status 14 PLUGIN_PROTOCOL_ERROR"));
    if (outcome != "OK") {
      EXPECT_LE(count, 4) << "what each had in flight";
    }
  }
  EXPECT_THAT(others.end(), ElementsAre(Key("OK")));
}

}  // namespace
}  // namespace plugind::e2e
