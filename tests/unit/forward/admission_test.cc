// How many connections there may be, and what is said to those that are too many.
#include "daemon/forward/admission.h"

#include <gtest/gtest.h>

#include <boost/asio/buffer.hpp>

#include "daemon/forward/refusal_log.h"
#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

using namespace std::chrono_literals;
using platform::HostKey;
using platform::PeerIdentity;

constexpr std::uint32_t kDaemon = 900;

PeerIdentity peer_of(std::uint32_t uid) {
  return {.known = true,
          .uid = uid,
          .gid = 1,
          .groups = {},
          .pid = 4'711,
          .host = HostKey::of_process(4'711, 1)};
}
const PeerIdentity kUnknown{.host = HostKey::unique()};

TEST(Admission, AUserHasSoManyAndNoMore) {
  Admission admission({.all = 100, .per_user = 3}, AccessPolicy(kDaemon));
  for (const PeerIdentity& peer : {peer_of(1'000), peer_of(1'001), kUnknown}) {
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(admission.enter(peer)) << i;
    EXPECT_TRUE(admission.enter(peer));
    EXPECT_TRUE(admission.enter(peer)) << "a refused one takes no place and gives none back";
    admission.leave(peer);
    EXPECT_FALSE(admission.enter(peer));
    EXPECT_TRUE(admission.enter(peer));
  }
  EXPECT_EQ(*admission.enter(peer_of(1'000)),
            "uid 1000 has 3 connections, which is the most (--max-connections-per-user)");
}

TEST(Admission, RootAndTheDaemonsUserAreNotCountedByUser) {
  Admission admission({.all = 100, .per_user = 1}, AccessPolicy(kDaemon));
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(admission.enter(peer_of(0)));
    EXPECT_FALSE(admission.enter(peer_of(kDaemon)));
  }
}

TEST(Admission, TheLastPlacesAreForThem) {
  Admission admission({.all = 100, .per_user = 1'000}, AccessPolicy(kDaemon));
  for (int i = 0; i < 84; ++i) EXPECT_FALSE(admission.enter(peer_of(1'000 + i))) << i;
  EXPECT_TRUE(admission.enter(peer_of(1'000)));
  for (int i = 0; i < 16; ++i) EXPECT_FALSE(admission.enter(peer_of(0))) << i;
  EXPECT_TRUE(admission.enter(peer_of(0)));
  admission.leave(peer_of(0));
  EXPECT_TRUE(admission.enter(peer_of(1'000)));
  EXPECT_FALSE(admission.enter(peer_of(kDaemon)));
}

TEST(Admission, UsersWithoutAConnectionAreForgotten) {
  Admission admission({.all = 100, .per_user = 1}, AccessPolicy(kDaemon));
  for (std::uint32_t uid = 1'000; uid < 2'000; ++uid) {
    EXPECT_FALSE(admission.enter(peer_of(uid)));
    admission.leave(peer_of(uid));
  }
  EXPECT_EQ(admission.users(), 0u);
}

TEST(Admission, ConnectionsLeaveDescriptorsForEverythingElse) {
  EXPECT_EQ(connections_within(10'000, 1'000'000), 10'000u);
  EXPECT_EQ(connections_within(10'000, 11'024), 10'000u);
  EXPECT_EQ(connections_within(10'000, 11'023), 9'999u);
  EXPECT_EQ(connections_within(10'000, 1'024), 768u);
  EXPECT_EQ(connections_within(500, 1'024), 500u);
  EXPECT_EQ(connections_within(1'000'000, UINT64_MAX), 1'000'000u);
}

TEST(RefusalLog, WritesOneLineASecondAndTellsOfTheOthers) {
  RefusalLog log;
  const RefusalLog::TimePoint start{};
  EXPECT_EQ(log.note("kv", "no", start), "no");
  EXPECT_FALSE(log.note("kv", "no", start));
  EXPECT_FALSE(log.note("kv", "no", start + 999ms));
  EXPECT_EQ(log.note("echo", "no", start), "no") << "each subject by itself";
  EXPECT_EQ(log.note("kv", "no", start + 1s), "no (and 2 more since the last line about it)");
  EXPECT_FALSE(log.note("kv", "no", start + 1'999ms));
  EXPECT_EQ(log.note("kv", "no", start + 9s), "no (and 1 more since the last line about it)");
  EXPECT_EQ(log.note("kv", "no", start + 10s), "no");
}

class ConnectionsTest : public ForwardTest {
 protected:
  ConnectionsTest() {
    policy_.access = AccessPolicy(kDaemon);
    policy_.connections = {.all = 40, .per_user = 2};
    policy_.identify = [this](int) { return peer_; };
  }
  /// What a client that says nothing gets before the end of its connection.
  std::string refusal(const std::string& plugin = "") {
    auto socket = connect_raw(plugin);
    socket.non_blocking(true);
    std::string bytes;
    run_until(
        [&] {
          char buffer[4'096];
          boost::system::error_code ec;
          bytes.append(buffer, socket.read_some(boost::asio::buffer(buffer), ec));
          return ec == boost::asio::error::eof;
        },
        "the end of the connection");
    return bytes;
  }
  PeerIdentity peer_ = peer_of(1'000);
};

TEST_F(ConnectionsTest, OneTooManyIsToldWhyAndTheOthersGoOn) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream, {{"grpc-status", "0"}}, false);
  };
  apply({manifest("echo")});
  const auto one = connect();
  auto two = connect("echo");
  run_until([&] { return connections() == 2; }, "the connections");
  const std::string text =
      "uid 1000 has 2 connections, which is the most (--max-connections-per-user)";
  const std::string goaway = std::string("\0\0", 2) + static_cast<char>(8 + text.size()) +
                             std::string("\7\0\0\0\0\0\0\0\0\0\0\0\0\xb", 14) + text;
  EXPECT_EQ(refusal(), goaway);
  EXPECT_EQ(refusal("echo"), goaway) << "they are counted together";
  EXPECT_EQ(connections(), 2u);
  ASSERT_EQ(reports_.size(), 1u) << "the second one within a second";
  EXPECT_EQ(reports_[0], "connection-refused of uid 1000: " + text);

  Stream& call = one->request("/test.echo/Do", {}, false);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
  two.reset();
  run_until([&] { return connections() == 1; }, "the end of one");
  const auto three = connect();
  Stream& another = three->request("/test.echo/Do", {}, false);
  wait_closed(another);
  EXPECT_EQ(another.trailers["grpc-status"], "0");
  peer_ = peer_of(1'001);
  connect();
  EXPECT_FALSE(three->lost) << "another user has places of its own";
}

TEST_F(ConnectionsTest, RefusedCallsAreLoggedOnceASecondForEachPlugin) {
  auto m = manifest("echo");
  m.access = {.everybody = false, .users = {}, .groups = {}};
  auto other = m;
  other.name = "other";
  other.services = {"test.other"};
  apply({m, other});
  const auto host = connect();
  for (const char* path : {"/test.echo/Do", "/test.echo/Do", "/test.other/Do", "/test.echo/Do"}) {
    Stream& call = host->request(path, {}, false);
    wait_closed(call);
    EXPECT_EQ(call.trailers["grpc-status"], "7");
  }
  // The log's own test has the time; it may have passed here.
  run_until([&] { return reports_.size() >= 2; }, "the lines");
  EXPECT_TRUE(reports_[0].starts_with("call-refused uid 1000 may not call plugin 'echo'"));
  EXPECT_TRUE(reports_[1].starts_with("call-refused uid 1000 may not call plugin 'other'"));
}

}  // namespace
}  // namespace plugind::forward::testing
