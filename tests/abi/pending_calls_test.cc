// Calls that hold no thread: pd_call_begin and what belongs to it.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "client-lib/include/plugind/plugind.h"
#include "tests/abi/test_client.h"
#include "tests/abi/test_server.h"

namespace plugind::test {
namespace {

constexpr std::int64_t kForever = -1;

TEST(PendingCall, GivesTheAnswerOnceAndKeepsItsTag) {
  TestServer server;
  Client client(server.address());
  PendingCall call = client.begin("Echo", "hello", nullptr, 42);
  EXPECT_EQ(pd_call_tag(call.get()), 42u);
  EXPECT_EQ(call.wait().message, "hello");
  const Outcome again = call.wait();
  EXPECT_EQ(again.code, 9);
  EXPECT_EQ(again.message, "the call's answer was given before");
}

TEST(PendingCall, CopiesItsRequest) {
  TestServer server;
  Client client(server.address());
  std::string request(3 << 20, 'a');
  PendingCall call = client.begin("Echo", request);
  std::fill(request.begin(), request.end(), 'b');
  EXPECT_TRUE(call.wait().message == std::string(3 << 20, 'a'));
}

TEST(PendingCall, OneThreadHasManyUnderWay) {
  TestServer server;
  Client client(server.address());
  std::vector<PendingCall> calls;
  std::map<pd_call*, std::string> expected;
  for (int i = 0; i < 200; ++i) {
    // Large ones among them.
    const std::string text = std::to_string(i) + std::string(i % 20 == 0 ? 200'000 : 0, 'x');
    calls.push_back(client.begin(i % 7 == 0 ? "Fail" : "Echo", text));
    expected[calls.back().get()] = i % 7 == 0 ? "it ended: 100%\n" : text;
  }
  while (pd_call* ended = pd_next(client.get(), kForever)) {
    ASSERT_TRUE(expected.contains(ended));
    pd_error* error = nullptr;
    pd_reply* reply = pd_call_wait(ended, &error);
    EXPECT_TRUE(outcome_of(reply, error).message == expected[ended]);
    expected.erase(ended);
  }
  EXPECT_TRUE(expected.empty());
  EXPECT_EQ(server.connections(), 1);
}

TEST(PendingCall, NextGivesThemInTheOrderInWhichTheyEnd) {
  TestServer server;
  Client client(server.address());
  const PendingCall held = client.begin("Hold", "slow", nullptr, 1);
  const PendingCall quick = client.begin("Echo", "quick", nullptr, 2);
  EXPECT_EQ(pd_next(client.get(), kForever), quick.get());
  server.release();
  EXPECT_EQ(pd_next(client.get(), kForever), held.get());
}

TEST(PendingCall, NextReturnsAtOnceWhenNoneIsUnderWayAndInTimeWhenNoneEnds) {
  TestServer server;
  Client client(server.address());
  EXPECT_EQ(pd_next(client.get(), kForever), nullptr);
  const PendingCall held = client.begin("Hold");
  EXPECT_EQ(pd_next(client.get(), 30), nullptr);
  server.wait_for_held(1);
  EXPECT_EQ(pd_next(client.get(), 0), nullptr);
  server.release();
  EXPECT_EQ(pd_next(client.get(), kForever), held.get());
  // Each is given once.
  EXPECT_EQ(pd_next(client.get(), kForever), nullptr);
}

TEST(PendingCall, ALookWithoutTimeGivesWhatHasCome) {
  TestServer server;
  Client client(server.address());
  const PendingCall call = client.begin("Echo", "there");
  pd_call* ended = nullptr;
  while (ended == nullptr) {
    ended = pd_next(client.get(), 0);
    std::this_thread::yield();
  }
  EXPECT_EQ(ended, call.get());
}

TEST(PendingCall, FlushSendsWithoutWaiting) {
  TestServer server;
  Client client(server.address());
  const PendingCall call = client.begin("Hold");
  EXPECT_EQ(server.calls(), 0);
  pd_flush(client.get());
  server.wait_for_held(1);
}

TEST(PendingCall, WhatIsBegunTravelsTogether) {
  TestServer server;
  Client client(server.address());
  std::vector<PendingCall> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(client.begin("Echo", std::to_string(i)));
  EXPECT_EQ(server.calls(), 0);
  // A call of another thread takes them along.
  EXPECT_EQ(client.call("Echo", "other").message, "other");
  EXPECT_EQ(server.calls(), 6);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(calls[i].wait().message, std::to_string(i));
}

TEST(PendingCall, ManyAreSentAlthoughNobodyWaitsYet) {
  TestServer server;
  Client client(server.address());
  std::vector<PendingCall> calls;
  for (int i = 0; i < 16; ++i) calls.push_back(client.begin("Hold"));
  server.wait_for_held(16);
}

TEST(PendingCall, ATimeoutEndsItWhicheverWayItIsWaitedFor) {
  TestServer server;
  Client client(server.address());
  // The later timeout first: they are kept in order.
  PendingCall later = client.begin("Hold", "", with_timeout(60).get());
  PendingCall never = client.begin("Hold");
  PendingCall sooner = client.begin("Hold", "", with_timeout(30).get());
  EXPECT_EQ(pd_next(client.get(), kForever), sooner.get());
  const Outcome outcome = sooner.wait();
  EXPECT_EQ(outcome.reason, "CALL_TIMEOUT");
  EXPECT_EQ(outcome.message, "/test.Test/Hold did not answer within 30 ms");
  EXPECT_EQ(later.wait().reason, "CALL_TIMEOUT");
  server.wait_for_cancelled(2);
  server.release();
  EXPECT_EQ(never.wait().code, 0);
}

TEST(PendingCall, CancelEndsACallThatNobodyWaitsFor) {
  TestServer server;
  Client client(server.address());
  PendingCall call = client.begin("Hold");
  pd_flush(client.get());
  server.wait_for_held(1);
  call.cancel();
  server.wait_for_cancelled(1);
  EXPECT_EQ(pd_next(client.get(), kForever), call.get());
  const Outcome outcome = call.wait();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_EQ(outcome.reason, "CALL_CANCELLED");
}

// The server answers nothing to it: only the library itself can wake the thread.
TEST(PendingCall, CancelWakesAThreadThatWaitsForTheSocket) {
  TestServer server;
  Client client(server.address());
  for (int round = 0; round < 20; ++round) {
    PendingCall call = client.begin("Hold");
    Outcome outcome;
    std::thread waiting([&] { outcome = call.wait(); });
    server.wait_for_held(1);
    call.cancel();
    waiting.join();
    EXPECT_EQ(outcome.reason, "CALL_CANCELLED");
    server.wait_for_cancelled(round + 1);
  }
}

TEST(PendingCall, CancelWakesAThreadInNext) {
  TestServer server;
  Client client(server.address());
  PendingCall call = client.begin("Hold");
  pd_call* ended = nullptr;
  std::thread waiting([&] { ended = pd_next(client.get(), kForever); });
  server.wait_for_held(1);
  call.cancel();
  waiting.join();
  EXPECT_EQ(ended, call.get());
}

TEST(PendingCall, CancelWakesAThreadThatAnotherLeads) {
  TestServer server;
  Client client(server.address());
  Outcome led;
  std::thread leader([&] { led = client.call("Hold", "kept"); });
  server.wait_for_held(1);
  PendingCall call = client.begin("Hold");
  Outcome outcome;
  std::thread follower([&] { outcome = call.wait(); });
  server.wait_for_held(2);
  call.cancel();
  follower.join();
  EXPECT_EQ(outcome.reason, "CALL_CANCELLED");
  server.wait_for_cancelled(1);
  server.release();
  leader.join();
  EXPECT_EQ(led.message, "kept");
}

TEST(PendingCall, CancelLeavesAnAnswerThatHasComeAlone) {
  TestServer server;
  Client client(server.address());
  PendingCall call = client.begin("Echo", "answered");
  EXPECT_EQ(pd_next(client.get(), kForever), call.get());
  call.cancel();
  EXPECT_EQ(call.wait().message, "answered");
}

TEST(PendingCall, FreeingItWhileItRunsCancelsIt) {
  TestServer server;
  Client client(server.address());
  PendingCall call = client.begin("Hold");
  pd_flush(client.get());
  server.wait_for_held(1);
  call.free();
  server.wait_for_cancelled(1);
  EXPECT_EQ(pd_next(client.get(), kForever), nullptr);
  EXPECT_EQ(client.call("Echo", "next").message, "next");
}

TEST(PendingCall, OutlivesItsClient) {
  TestServer server;
  Client client(server.address());
  PendingCall ended = client.begin("Echo", "came in time");
  PendingCall running = client.begin("Hold");
  EXPECT_EQ(pd_next(client.get(), kForever), ended.get());
  PendingCall unsent = client.begin("Echo");
  client.close();
  EXPECT_EQ(ended.wait().message, "came in time");
  EXPECT_EQ(running.wait().reason, "CLIENT_CLOSED");
  EXPECT_EQ(unsent.wait().reason, "CLIENT_CLOSED");
}

TEST(PendingCall, CloseWakesThreadsThatWait) {
  TestServer server;
  Client client(server.address());
  PendingCall waited_for = client.begin("Hold");
  PendingCall other = client.begin("Hold");
  Outcome outcome;
  std::vector<pd_call*> given;
  std::thread waiting([&] { outcome = waited_for.wait(); });
  std::thread next([&, handle = client.get()] {
    while (pd_call* call = pd_next(handle, kForever)) given.push_back(call);
  });
  server.wait_for_held(2);
  client.close();
  waiting.join();
  next.join();
  EXPECT_EQ(outcome.reason, "CLIENT_CLOSED");
  EXPECT_EQ(other.wait().reason, "CLIENT_CLOSED");
}

TEST(PendingCall, IsSentAgainWhenTheDaemonWasRestartedBeforeItLeft) {
  auto server = std::make_unique<TestServer>();
  server->keep_directory();
  Client client(server->address());
  EXPECT_EQ(client.call("Echo", "first").message, "first");
  PendingCall waited_for = client.begin("Echo", "waited for");
  PendingCall given = client.begin("Echo", "given");
  server->stop();
  TestServer next(Manner::kServe, server->address());
  EXPECT_EQ(waited_for.wait().message, "waited for");
  EXPECT_EQ(pd_next(client.get(), kForever), given.get());
  EXPECT_EQ(given.wait().message, "given");
}

TEST(PendingCall, OneThatWasSentEndsWithTheDaemon) {
  TestServer server;
  Client client(server.address());
  PendingCall call = client.begin("Hold");
  pd_flush(client.get());
  server.wait_for_held(1);
  server.stop();
  EXPECT_EQ(pd_next(client.get(), kForever), call.get());
  EXPECT_EQ(call.wait().reason, "DAEMON_GONE");

  // Nobody is there any more: begin() says so.
  pd_error* error = nullptr;
  EXPECT_EQ(pd_call_begin(client.get(), nullptr, "/a.B/C", nullptr, 0, nullptr, 0, &error),
            nullptr);
  EXPECT_EQ(outcome_of(error).reason, "DAEMON_UNREACHABLE");
}

TEST(PendingCall, CallsOnTwoConnectionsAreBothGiven) {
  TestServer server;
  Client client(server.address());
  PendingCall old = client.begin("Hold", "old");
  pd_flush(client.get());
  server.wait_for_held(1);
  server.go_away();
  // The first on the new connection ends while the old one still has a call.
  EXPECT_EQ(client.call("Echo", "new connection").message, "new connection");
  EXPECT_EQ(server.connections(), 2);
  PendingCall young = client.begin("Echo", "young");
  EXPECT_EQ(pd_next(client.get(), kForever), young.get());
  server.release();
  EXPECT_EQ(pd_next(client.get(), kForever), old.get());
  EXPECT_EQ(old.wait().message, "old");
}

TEST(PendingCall, OverTheServersLimitBeginWaitsForATurn) {
  TestServer server(Manner::kOneStream);
  Client client(server.address());
  PendingCall first = client.begin("Echo", "first");
  PendingCall second = client.begin("Echo", "second");
  EXPECT_EQ(second.wait().message, "second");
  EXPECT_EQ(first.wait().message, "first");
}

TEST(PendingCall, MistakesAreToldAtOnce) {
  TestServer server;
  Client client(server.address());
  pd_error* error = nullptr;
  EXPECT_EQ(pd_call_begin(client.get(), nullptr, "no-slash", nullptr, 0, nullptr, 0, &error),
            nullptr);
  EXPECT_EQ(outcome_of(error).code, 3);
  EXPECT_EQ(pd_call_begin(nullptr, nullptr, "/a.B/C", nullptr, 0, nullptr, 0, &error), nullptr);
  EXPECT_EQ(outcome_of(error).code, 3);
  EXPECT_EQ(pd_call_wait(nullptr, &error), nullptr);
  EXPECT_EQ(outcome_of(error).code, 3);
  EXPECT_EQ(pd_next(nullptr, 0), nullptr);
  pd_call_cancel(nullptr);
  pd_call_free(nullptr);
  pd_flush(nullptr);
}

TEST(PendingCall, AForkLeavesThemToTheParent) {
  TestServer server;
  Client client(server.address());
  PendingCall call = client.begin("Echo", "parent's");
  const pid_t child = ::fork();
  if (child == 0) {
    pd_error* error = nullptr;
    const bool forked = pd_call_wait(call.get(), &error) == nullptr &&
                        std::string(pd_error_reason(error)) == "CLIENT_FORKED" &&
                        pd_next(client.get(), -1) == nullptr;
    pd_call_cancel(call.get());
    pd_flush(client.get());
    pd_call_free(call.get());
    pd_close(client.get());
    ::_exit(forked ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(call.wait().message, "parent's");
}

TEST(PendingCall, ManyThreadsInNextShareTheWork) {
  TestServer server;
  Client client(server.address());
  constexpr int kThreads = 4;
  constexpr int kCallsEach = 2'000;
  std::atomic<int> given = 0;
  std::atomic<int> wrong = 0;
  std::atomic<std::uint64_t> tags = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      const auto begin = [&] {
        const std::uint64_t tag = tags++;
        if (tag >= kThreads * kCallsEach) return;
        const std::string text = std::to_string(tag);
        pd_call* call = pd_call_begin(client.get(), nullptr, "/test.Test/Echo", text.data(),
                                      text.size(), nullptr, tag, nullptr);
        if (call == nullptr) ++wrong;
      };
      for (int i = 0; i < 16; ++i) begin();
      while (given < kThreads * kCallsEach) {
        pd_call* ended = pd_next(client.get(), 20);
        if (ended == nullptr) continue;
        ++given;
        const std::string tag = std::to_string(pd_call_tag(ended));
        if (PendingCall(ended).wait().message != tag) ++wrong;
        begin();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(given, kThreads * kCallsEach);
}

TEST(PendingCall, EveryKindOfUseAtOnceWhileServersComeAndGo) {
  auto server = std::make_unique<TestServer>();
  const std::string address = server->address();
  Client client(address);
  std::atomic<bool> stopping = false;
  std::atomic<int> good = 0;
  std::atomic<int> unexpected = 0;
  const auto note = [&](const Outcome& outcome) {
    if (outcome.code == 0) ++good;
    if (outcome.code != 0 && outcome.code != 14 && outcome.code != 1) ++unexpected;
  };
  const Options options = with_timeout(5'000);
  const auto begin = [&] {
    return pd_call_begin(client.get(), nullptr, "/test.Test/Echo", "x", 1, options.get(), 0,
                         nullptr);
  };
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    while (!stopping) note(client.call("Echo", "x", options.get()));
  });
  threads.emplace_back([&] {
    while (!stopping) {
      if (pd_call* call = begin()) note(PendingCall(call).wait());
    }
  });
  threads.emplace_back([&] {
    while (!stopping) {
      pd_call* call = begin();
      if (call == nullptr) continue;
      std::thread canceller([call] { pd_call_cancel(call); });
      pd_error* error = nullptr;
      pd_reply* reply = pd_call_wait(call, &error);
      note(outcome_of(reply, error));
      canceller.join();
      pd_call_free(call);
    }
  });
  for (int round = 0; round < 5; ++round) {
    const int before = good;
    while (good < before + 50) std::this_thread::yield();
    server->keep_directory();
    server->stop();
    server = std::make_unique<TestServer>(Manner::kServe, address);
  }
  const int before = good;
  while (good < before + 50) std::this_thread::yield();
  stopping = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(unexpected, 0);
}

}  // namespace
}  // namespace plugind::test
