// libplugind against a server in a thread of this test.
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "client-lib/include/plugind/plugind.h"
#include "tests/abi/test_client.h"
#include "tests/abi/test_server.h"

namespace plugind::test {
namespace {

TEST(Client, CallsGoOverOneConnection) {
  TestServer server;
  Client client(server.address());
  EXPECT_EQ(client.call("Echo", "hello").message, "hello");
  EXPECT_EQ(client.call("Echo", "").message, "");
  EXPECT_EQ(client.call("Echo", "again").code, 0);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Client, WorksOverLoopbackTcp) {
  TestServer server(Manner::kServe, TestServer::Transport::kTcp);
  Client client(server.address());
  EXPECT_EQ(client.call("Echo", std::string(1 << 20, 'x')).message, std::string(1 << 20, 'x'));
}

TEST(Client, CarriesLargeMessagesBothWays) {
  TestServer server;
  Client client(server.address());
  std::string big(24 << 20, '\0');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>(i * 2654435761u >> 13);
  EXPECT_TRUE(client.call("Echo", big).message == big);
  EXPECT_EQ(client.call("Size", "33554432").message.size(), 33554432u);
}

TEST(Client, SendsTheHeadersOfGrpc) {
  TestServer server;
  Client client(server.address());
  Options options = with_timeout(60'000);
  ASSERT_EQ(pd_options_add_metadata(options.get(), "x-plain", "a value", 7), 0);
  ASSERT_EQ(pd_options_add_metadata(options.get(), "x-raw-bin", "\0\xff", 2), 0);
  const std::string headers = client.call("Metadata", "", options.get(), "kv@1.2.0").message;
  EXPECT_EQ(headers,
            ":method: POST\n:scheme: http\n:path: /test.Test/Metadata\n:authority: localhost\n"
            "te: trailers\ncontent-type: application/grpc\nuser-agent: libplugind/" PD_VERSION
            "\nplugind-plugin: kv@1.2.0\ngrpc-timeout: 60000000u\nx-plain: a value\n"
            "x-raw-bin: AP8\n");
}

TEST(Client, WithoutAPluginOrTimeoutNoneIsSent) {
  TestServer server;
  Client client(server.address());
  const std::string headers = client.call("Metadata").message;
  EXPECT_EQ(headers.find("plugind-plugin"), std::string::npos);
  EXPECT_EQ(headers.find("grpc-timeout"), std::string::npos);
}

TEST(Client, AStatusKeepsItsCodeMessageAndReason) {
  TestServer server;
  Client client(server.address());
  const Outcome outcome = client.call("Fail");
  EXPECT_EQ(outcome.code, 14);
  EXPECT_EQ(outcome.message, "it ended: 100%\n");
  EXPECT_EQ(outcome.reason, "PLUGIN_CRASHED");
  EXPECT_EQ(client.call("Echo", "still here").message, "still here");
}

TEST(Client, BrokenDetailsCostOnlyTheReason) {
  TestServer server;
  Client client(server.address());
  const Outcome outcome = client.call("BadDetails");
  EXPECT_EQ(outcome.code, 5);
  EXPECT_EQ(outcome.message, "not here");
  EXPECT_EQ(outcome.reason, "");
}

struct Misbehaviour {
  const char* method;
  int code;
  const char* message_part;
};

class AnswerThatIsNotGrpcs : public testing::TestWithParam<Misbehaviour> {};

TEST_P(AnswerThatIsNotGrpcs, IsAnErrorAndTheConnectionGoesOn) {
  TestServer server;
  Client client(server.address());
  const Outcome outcome = client.call(GetParam().method);
  EXPECT_EQ(outcome.code, GetParam().code);
  EXPECT_NE(outcome.message.find(GetParam().message_part), std::string::npos) << outcome.message;
  EXPECT_EQ(client.call("Echo", "next").message, "next");
  EXPECT_EQ(server.connections(), 1);
}

INSTANTIATE_TEST_SUITE_P(Client, AnswerThatIsNotGrpcs,
                         testing::Values(Misbehaviour{"Http503", 14, "HTTP status 503"},
                                         Misbehaviour{"NotGrpc", 2,
                                                      "content-type is \"text/html\""},
                                         Misbehaviour{"NoStatus", 2, "without a grpc-status"},
                                         Misbehaviour{"NoMessage", 13, "without a reply"},
                                         Misbehaviour{"TwoMessages", 13, "more than one message"},
                                         Misbehaviour{"Compressed", 13, "compressed"},
                                         Misbehaviour{"OverSize", 8, "2147483648 bytes"},
                                         Misbehaviour{"BadFlag", 13, "not gRPC"},
                                         Misbehaviour{"CutShort", 13, "cut short"},
                                         Misbehaviour{"BigTrailers", 8, "metadata"},
                                         Misbehaviour{"Reset", 8, "too much"},
                                         Misbehaviour{"Nonsense", 12, "no such method"}),
                         [](const auto& test_info) { return test_info.param.method; });

TEST(Client, AnErrorBeforeTheRequestIsReadEndsTheCall) {
  TestServer server;
  Client client(server.address());
  EXPECT_EQ(client.call("FailEarly", std::string(8 << 20, 'x')).code, 3);
  EXPECT_EQ(client.call("Echo", "next").message, "next");
}

TEST(Client, ATimeoutEndsTheCallAndTellsTheServer) {
  TestServer server;
  Client client(server.address());
  const Outcome outcome = client.call("Hold", "", with_timeout(50).get());
  EXPECT_EQ(outcome.code, 4);
  EXPECT_EQ(outcome.reason, "CALL_TIMEOUT");
  EXPECT_NE(outcome.message.find("/test.Test/Hold"), std::string::npos) << outcome.message;
  server.wait_for_cancelled(1);
  EXPECT_EQ(client.call("Echo", "next").message, "next");
  EXPECT_EQ(server.connections(), 1);
}

TEST(Client, ATimeoutOfAFollowerDoesNotDisturbTheLeader) {
  TestServer server;
  Client client(server.address());
  Outcome held;
  std::thread leader([&] { held = client.call("Hold", "kept"); });
  server.wait_for_held(1);
  EXPECT_EQ(client.call("Hold", "", with_timeout(50).get()).code, 4);
  server.wait_for_cancelled(1);
  server.release();
  leader.join();
  EXPECT_EQ(held.message, "kept");
}

TEST(Client, WhenTheLeaderLeavesAFollowerLeads) {
  TestServer server;
  Client client(server.address());
  std::vector<std::thread> threads;
  std::vector<Outcome> outcomes(4);
  // The first becomes the leader and leaves at its timeout.
  threads.emplace_back([&] { outcomes[0] = client.call("Hold", "", with_timeout(300).get()); });
  server.wait_for_held(1);
  for (int i = 1; i < 4; ++i) {
    threads.emplace_back([&, i] { outcomes[i] = client.call("Hold", std::to_string(i)); });
  }
  server.wait_for_held(4);
  server.wait_for_cancelled(1);
  server.release();
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(outcomes[0].code, 4);
  for (int i = 1; i < 4; ++i) EXPECT_EQ(outcomes[i].message, std::to_string(i));
}

TEST(Client, ServerDeathEndsCallsInFlightAndTheNextCallReconnects) {
  auto server = std::make_unique<TestServer>();
  server->keep_directory();
  Client client(server->address());
  std::vector<std::thread> threads;
  std::vector<Outcome> outcomes(4);
  for (int i = 0; i < 4; ++i) threads.emplace_back([&, i] { outcomes[i] = client.call("Hold"); });
  server->wait_for_held(4);
  server->stop();
  for (auto& thread : threads) thread.join();
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.code, 14);
    EXPECT_EQ(outcome.reason, "DAEMON_GONE");
  }

  const Outcome unreachable = client.call("Echo", "nobody");
  EXPECT_EQ(unreachable.code, 14);
  EXPECT_EQ(unreachable.reason, "DAEMON_UNREACHABLE");
  EXPECT_NE(unreachable.message.find("plugind --manifests"), std::string::npos);

  TestServer next(Manner::kServe, server->address());
  EXPECT_EQ(client.call("Echo", "back").message, "back");
}

TEST(Client, ARestartWhileNoCallRunsIsNotNoticed) {
  auto server = std::make_unique<TestServer>();
  server->keep_directory();
  Client client(server->address());
  EXPECT_EQ(client.call("Echo", "first").message, "first");
  server->stop();
  TestServer next(Manner::kServe, server->address());
  EXPECT_EQ(client.call("Echo", "second").message, "second");
}

TEST(Client, ADyingServerIsNotAskedTwiceForACallThatItHasSeen) {
  TestServer server;
  Client client(server.address());
  const Outcome outcome = client.call("Die");
  EXPECT_EQ(outcome.code, 14);
  EXPECT_EQ(outcome.reason, "DAEMON_GONE");
  EXPECT_EQ(server.calls(), 1);
}

TEST(Client, ACallAboveTheGoawayIsRetriedOnANewConnection) {
  TestServer server;
  Client client(server.address());
  server.go_away();
  EXPECT_EQ(client.call("Echo", "retried").message, "retried");
  EXPECT_EQ(server.connections(), 2);
}

TEST(Client, CallsBelowTheGoawayRunToTheirEnd) {
  TestServer server;
  Client client(server.address());
  Outcome held;
  std::thread thread([&] { held = client.call("Hold", "old"); });
  server.wait_for_held(1);
  server.go_away();
  EXPECT_EQ(client.call("Echo", "new").message, "new");
  server.release();
  thread.join();
  EXPECT_EQ(held.message, "old");
  EXPECT_EQ(server.connections(), 2);
}

TEST(Client, CloseCancelsCallsInFlight) {
  TestServer server;
  Client client(server.address());
  std::vector<std::thread> threads;
  std::vector<Outcome> outcomes(4);
  for (int i = 0; i < 4; ++i) threads.emplace_back([&, i] { outcomes[i] = client.call("Hold"); });
  server.wait_for_held(4);
  client.close();
  for (auto& thread : threads) thread.join();
  for (const Outcome& outcome : outcomes) {
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.reason, "CLIENT_CLOSED");
  }
}

TEST(Client, CloseCancelsCallsOnAConnectionThatWentAway) {
  TestServer server;
  Client client(server.address());
  Outcome held;
  std::thread thread([&] { held = client.call("Hold"); });
  server.wait_for_held(1);
  server.go_away();
  EXPECT_EQ(client.call("Echo", "new").message, "new");
  client.close();
  thread.join();
  EXPECT_EQ(held.code, 1);
}

TEST(Client, CallsOverTheServersLimitWaitForTheirTurn) {
  TestServer server(Manner::kOneStream);
  Client client(server.address());
  Outcome held;
  std::thread thread([&] { held = client.call("Hold", "first"); });
  server.wait_for_held(1);
  const Outcome outcome = client.call("Echo", "", with_timeout(50).get());
  EXPECT_EQ(outcome.code, 4);
  Outcome second;
  std::thread waiting([&] { second = client.call("Echo", "second"); });
  server.release();
  thread.join();
  waiting.join();
  EXPECT_EQ(held.message, "first");
  EXPECT_EQ(second.message, "second");
  EXPECT_EQ(server.calls(), 2);
}

// More than the socket, the windows and the library's own buffers hold.
const std::string kMoreThanFits(24 << 20, 'x');

TEST(Client, AServerThatDoesNotReadCannotHoldACallPastItsTimeout) {
  TestServer server(Manner::kDeaf);
  Client client(server.address());
  Outcome other;
  std::thread thread([&] { other = client.call("Echo", kMoreThanFits, with_timeout(150).get()); });
  EXPECT_EQ(client.call("Echo", kMoreThanFits, with_timeout(50).get()).code, 4);
  thread.join();
  EXPECT_EQ(other.code, 4);
}

TEST(Client, CallsThatCouldNotBeSentGoOnWhenTheServerReadsAgain) {
  TestServer server(Manner::kDeaf);
  Client client(server.address());
  std::vector<std::thread> threads;
  std::vector<Outcome> outcomes(3);
  for (auto& outcome : outcomes) {
    threads.emplace_back([&] { outcome = client.call("Echo", kMoreThanFits); });
  }
  // Leaves its half-sent frames to the others.
  EXPECT_EQ(client.call("Echo", kMoreThanFits, with_timeout(100).get()).code, 4);
  server.become(Manner::kServe);
  for (auto& thread : threads) thread.join();
  for (const Outcome& outcome : outcomes) EXPECT_TRUE(outcome.message == kMoreThanFits);
}

// The leader was waiting for its answer, and for nothing else, when the others began to send.
TEST(Client, FollowersSendWhileTheLeaderOnlyReceives) {
  TestServer server;
  Client client(server.address());
  Outcome held;
  std::thread leader([&] { held = client.call("Hold", "held"); });
  server.wait_for_held(1);
  server.become(Manner::kDeaf);
  Outcome sent;
  std::thread follower([&] { sent = client.call("Echo", kMoreThanFits); });
  // Whichever of these two sends; this one leaves the sending to the other.
  EXPECT_EQ(client.call("Echo", kMoreThanFits, with_timeout(100).get()).code, 4);
  server.become(Manner::kServe);
  follower.join();
  server.release();
  leader.join();
  EXPECT_TRUE(sent.message == kMoreThanFits);
  EXPECT_EQ(held.message, "held");
}

TEST(Client, CloseEndsCallsThatCannotBeSent) {
  TestServer server(Manner::kDeaf);
  Client client(server.address());
  std::vector<std::thread> threads;
  std::vector<Outcome> outcomes(3);
  std::atomic<int> started = 0;
  for (auto& outcome : outcomes) {
    threads.emplace_back([&] {
      ++started;
      outcome = client.call("Echo", kMoreThanFits, with_timeout(60'000).get());
    });
  }
  while (started < 3) std::this_thread::yield();
  // A last one, whose timeout passes when the others are certainly at it.
  EXPECT_EQ(client.call("Echo", kMoreThanFits, with_timeout(100).get()).code, 4);
  client.close();
  for (auto& thread : threads) thread.join();
  for (const Outcome& outcome : outcomes) EXPECT_EQ(outcome.reason, "CLIENT_CLOSED");
}

TEST(Client, ThreadsThatFindTheConnectionBrokenShareANewOne) {
  auto server = std::make_unique<TestServer>();
  server->keep_directory();
  Client client(server->address());
  server->stop();
  TestServer next(Manner::kServe, server->address());
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      if (client.call("Echo", "x").message == "x") ++good;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(next.connections(), 1);
}

// As Go's runtime does to preempt: signals without SA_RESTART, many of them.
TEST(Client, SignalsThatInterruptSystemCallsAreNotErrors) {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGURG, &action, nullptr);
  TestServer server;
  Client client(server.address());
  std::atomic<bool> stopping = false;
  int failures = 0;
  std::thread caller([&] {
    for (int i = 0; i < 300; ++i) {
      const std::string text(i % 20 == 0 ? 1 << 20 : 10, 'x');
      if (client.call("Echo", text, with_timeout(60'000).get()).message != text) ++failures;
    }
    stopping = true;
  });
  while (!stopping) {
    ::pthread_kill(caller.native_handle(), SIGURG);
    std::this_thread::yield();
  }
  caller.join();
  EXPECT_EQ(failures, 0);
}

TEST(Client, ManyThreadsManyCalls) {
  TestServer server;
  Client client(server.address());
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const std::string text = std::to_string(t) + "/" + std::to_string(i) +
                                 std::string(i % 50 == 0 ? 300'000 : 0, 'x');
        if (client.call(i % 7 == 0 ? "Fail" : "Echo", text).message !=
            (i % 7 == 0 ? "it ended: 100%\n" : text)) {
          ++wrong;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(server.connections(), 1);
}

TEST(Client, ManyThreadsSurviveServersThatComeAndGo) {
  auto server = std::make_unique<TestServer>();
  const std::string address = server->address();
  Client client(address);
  std::atomic<bool> stopping = false;
  std::atomic<int> good = 0;
  std::atomic<int> unexpected = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      while (!stopping) {
        const Outcome outcome =
            client.call("Echo", std::string(5'000, 'x'), with_timeout(5'000).get());
        if (outcome.code == 0) ++good;
        if (outcome.code != 0 && outcome.code != 14) ++unexpected;
      }
    });
  }
  for (int round = 0; round < 5; ++round) {
    const int before = good;
    while (good < before + 20) std::this_thread::yield();
    server->keep_directory();
    server->stop();
    server = std::make_unique<TestServer>(Manner::kServe, address);
  }
  const int before = good;
  while (good < before + 20) std::this_thread::yield();
  stopping = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(unexpected, 0);
}

}  // namespace
}  // namespace plugind::test
