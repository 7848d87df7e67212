#include "daemon/dialect/native.h"

#include "tests/unit/dialect/start_test.h"

namespace plugind::dialect {
namespace {

constexpr char kAnnounced[] = "unix:/run/plugind/instances/kv#1/instance.sock";
constexpr char kInherited[] = "unix:/run/plugind/instances/kv#1/inherited.sock";

class NativeTest : public StartTest {
 protected:
  NativeTest() {
    dialect = make_native_dialect();
    // By default the program binds the path and nobody accepts on descriptor 3.
    connector.on_connect = [this](FakeConnection& connection) {
      if (connection.endpoint.address == kInherited) return inherited;
      if (!bound) return Verdict::kRefuse;
      connection.on_unary = answer;
      return Verdict::kAccept;
    };
  }

  bool bound = true;
  Verdict inherited = Verdict::kSilence;
  std::function<std::optional<FakeConnection::Answer>(const FakeConnection::Unary&)> answer;
};

TEST_F(NativeTest, PassesAddressAndDescriptor) {
  manifest.env = {{"COLOUR", "blue"}};
  start();
  ASSERT_TRUE(ready());
  EXPECT_EQ(process().spec.executable, "/opt/kv");
  EXPECT_EQ(process().spec.arguments, std::vector<std::string>{"--flag"});
  EXPECT_EQ(process().spec.tree_name, "kv#1");
  EXPECT_EQ(process().spec.working_directory, "/run/plugind/instances/kv#1");
  EXPECT_EQ(process().spec.listen_socket, "/run/plugind/instances/kv#1/inherited.sock");
  EXPECT_EQ(process().variable("PLUGIND_LISTEN"), kAnnounced);
  EXPECT_EQ(process().variable("TMPDIR"), "/run/plugind/instances/kv#1");
  EXPECT_EQ(process().variable("COLOUR"), "blue");
  EXPECT_EQ((*result)->endpoint.address, kAnnounced);
  EXPECT_EQ((*result)->protocol_version, 0u);
  EXPECT_TRUE((*result)->connection->alive());
}

TEST_F(NativeTest, RunsWhereTheManifestSays) {
  manifest.working_directory = "/srv/kv";
  start();
  EXPECT_EQ(process().spec.working_directory, "/srv/kv");
}

TEST_F(NativeTest, AsksTheWholeServersHealth) {
  start();
  ASSERT_TRUE(ready());
  ASSERT_EQ(connector.last().calls.size(), 1u);
  EXPECT_EQ(connector.last().calls[0].method, "/grpc.health.v1.Health/Check");
  EXPECT_EQ(connector.last().calls[0].request, "");
}

TEST_F(NativeTest, WaitsUntilThePathIsBound) {
  bound = false;
  start();
  clock.advance(3s);
  EXPECT_FALSE(finished);
  bound = true;
  clock.advance(50ms);
  EXPECT_TRUE(ready());
}

TEST_F(NativeTest, FindsAPathThatIsBoundSoonAfter) {
  for (const auto took : {5ms, 17ms, 33ms, 65ms, 500ms}) {
    SCOPED_TRACE(took.count());
    bound = false;
    start();
    clock.advance(took);
    EXPECT_FALSE(finished);
    bound = true;
    clock.advance(std::max(2ms, took / 16));
    ASSERT_TRUE(ready());
    result.reset();
    finished = false;
  }
}

TEST_F(NativeTest, DoesNotTryAPathAllTheTime) {
  bound = false;
  int tries = 0;
  connector.on_connect = [&](FakeConnection& connection) {
    if (connection.endpoint.address == kInherited) return Verdict::kSilence;
    ++tries;
    return Verdict::kRefuse;
  };
  start();
  clock.advance(9s);
  EXPECT_LT(tries, 250);
}

TEST_F(NativeTest, TakesTheInheritedSocketToo) {
  bound = false;
  inherited = Verdict::kAccept;
  start();
  ASSERT_TRUE(ready());
  EXPECT_EQ((*result)->endpoint.address, kInherited);
}

TEST_F(NativeTest, AServerWithoutHealthServiceIsReady) {
  answer = [](const auto&) { return failed_call(StatusCode::kUnimplemented); };
  start();
  EXPECT_TRUE(ready());
}

TEST_F(NativeTest, AServerWhoseHealthServiceDoesNotKnowTheWholeIsReady) {
  answer = [](const auto&) { return failed_call(StatusCode::kNotFound); };
  start();
  EXPECT_TRUE(ready());
}

TEST_F(NativeTest, AsksAgainWhileNotServing) {
  int status = 2;
  answer = [&](const auto&) { return health(status); };
  start();
  clock.advance(2s);
  EXPECT_FALSE(finished);
  EXPECT_EQ(connector.connections.size(), 1u);
  EXPECT_LT(connector.last().calls.size(), 20u);  // With a pause.
  status = 1;
  clock.advance(500ms);
  EXPECT_TRUE(ready());
}

TEST_F(NativeTest, NotServingUntilTheTimeoutIsNotReady) {
  answer = [](const auto&) { return health(2); };
  start();
  process().print_stderr("waiting for the database\n");
  clock.advance(9'999ms);
  EXPECT_FALSE(finished);
  clock.advance(1ms);
  expect_error(Reason::kNotReady,
               "it is not ready after 10 s: its health service says NOT_SERVING; its last stderr:\n"
               "waiting for the database");
  EXPECT_TRUE(process().killed > 0 && process().destroyed);
}

TEST_F(NativeTest, OtherAnswersToTheHealthCheckAreNotReady) {
  answer = [](const auto&) { return failed_call(StatusCode::kInternal); };
  start();
  clock.advance(10s);
  expect_error(Reason::kNotReady,
               "it is not ready after 10 s: its health service answers with gRPC status 13 (so it "
               "is)");
}

TEST_F(NativeTest, SilenceUntilTheTimeoutIsStartTimeout) {
  bound = false;
  start();
  clock.advance(10s);
  expect_error(Reason::kStartTimeout,
               std::string("no gRPC server answers after 10 s, neither on PLUGIND_LISTEN=") +
                   kAnnounced + " nor on descriptor 3 (last: " + kAnnounced +
                   ": connection refused); the program must listen on one of them, or "
                   "start.timeout is too short");
}

TEST_F(NativeTest, WithAMaximumAStartThatPrintsGetsMoreTime) {
  manifest.start_timeout_max = 25s;
  bound = false;
  start();
  clock.advance(9s);
  process().print_stderr("loading\n");
  clock.advance(9s);
  EXPECT_FALSE(finished) << "10 s from what it printed";
  process().print_stdout("loading still\n");
  clock.advance(6999ms);
  EXPECT_FALSE(finished);
  clock.advance(1ms);
  EXPECT_EQ(error().reason, Reason::kStartTimeout) << "the maximum, 3 s earlier than 10 s";
}

TEST_F(NativeTest, WithAMaximumAStartThatPrintsNothingGetsNoMoreTime) {
  manifest.start_timeout_max = 25s;
  bound = false;
  start();
  clock.advance(4s);
  process().print_stderr("loading\n");
  clock.advance(9999ms);
  EXPECT_FALSE(finished);
  clock.advance(1ms);
  EXPECT_EQ(error().reason, Reason::kStartTimeout);
}

TEST_F(NativeTest, WithoutAMaximumPrintingGivesNoTime) {
  bound = false;
  start();
  clock.advance(9s);
  process().print_stderr("loading\n");
  clock.advance(1s);
  EXPECT_EQ(error().reason, Reason::kStartTimeout);
}

TEST_F(NativeTest, ASilentPeerIsStartTimeout) {
  connector.on_connect = [](auto&) { return Verdict::kSilence; };
  start();
  clock.advance(10s);
  EXPECT_EQ(error().reason, Reason::kStartTimeout);
}

TEST_F(NativeTest, AnUnansweredHealthCheckIsStartTimeout) {
  answer = [](const auto&) { return std::nullopt; };
  start();
  clock.advance(10s);
  expect_error(
      Reason::kStartTimeout,
      "it took the connection, and did not answer grpc.health.v1.Health/Check within 10 s of "
      "its start");
  EXPECT_EQ(failed.message, error().message);
  ASSERT_TRUE(failed.exit);
  EXPECT_EQ(failed.exit->signal, 9);
  EXPECT_TRUE(failed.killed);
}

const std::string kTryByHand =
    "; run its `command` by hand to see why; variables that it misses go into `env` or `env_allow` "
    "of the manifest";

TEST_F(NativeTest, AnExitIsToldWithCodeAndStderr) {
  bound = false;
  start();
  clock.advance(1500ms);
  process().print_stderr("cannot open the database\r\nno such file: \xff");
  process().exit(3);
  run();
  expect_error(Reason::kStartExited,
               "it ended with exit code 3 after 1500 ms, before it was ready" + kTryByHand +
                   "; its last stderr:\ncannot open the database\nno such file: \\xff");
  EXPECT_EQ(error().details, (decltype(Error::details){{"exit_code", "3"}}));
  EXPECT_EQ(failed.message,
            "it ended with exit code 3 after 1500 ms, before it was ready" + kTryByHand);
  EXPECT_EQ(failed.pid, process().pid);
  ASSERT_TRUE(failed.exit);
  EXPECT_EQ(failed.exit->code, 3);
  EXPECT_FALSE(failed.killed);
}

TEST_F(NativeTest, ASignalIsTold) {
  bound = false;
  start();
  process().die(11);
  run();
  expect_error(Reason::kStartExited,
               "it ended with signal 11 (SIGSEGV) after 0 ms, before it was ready" + kTryByHand);
  EXPECT_EQ(error().details, (decltype(Error::details){{"signal", "11"}}));
}

TEST_F(NativeTest, ALackOfMemoryIsTold) {
  bound = false;
  manifest.limits.memory = 1 << 20;
  start();
  process().end({.code = {}, .signal = 9, .memory_kill = plugin::MemoryKill::kOverLimit});
  run();
  expect_error(Reason::kStartExited,
               "it ended with signal 9 (SIGKILL), out of memory after 0 ms, before it was ready; "
               "raise `limits.memory`, or have it use less");
  EXPECT_EQ(error().details,
            (decltype(Error::details){{"signal", "9"}, {"out_of_memory", "limit"}}));
}

TEST_F(NativeTest, WhatAnExitLeavesBehindIsKilled) {
  bound = false;
  processes.on_spawn = [](FakeProcess& process) { process.grandchildren = {7, 8}; };
  start();
  process().exit(0);
  run();
  EXPECT_EQ(error().reason, Reason::kStartExited);
  EXPECT_TRUE(process().gone());
}

TEST_F(NativeTest, AConnectionLostDuringTheHealthCheckIsTriedAgain) {
  answer = [](const auto&) { return std::nullopt; };
  start();
  answer = nullptr;
  connector.connections.front()->fail();
  clock.advance(50ms);
  EXPECT_TRUE(ready());
  EXPECT_EQ(connector.connections.size(), 2u);
}

TEST_F(NativeTest, ARefusedSpawnIsPassedOn) {
  processes.next_error = make_error(Reason::kExecutableMissing, "/opt/kv does not exist");
  start();
  expect_error(Reason::kExecutableMissing, "/opt/kv does not exist");
}

TEST_F(NativeTest, AProgramThatIsNotInPathIsMissing) {
  manifest.command = {"no-such-program"};
  manifest.env = {{"PATH", "/nowhere:relative"}};
  start();
  expect_error(Reason::kExecutableMissing,
               "its program \"no-such-program\" is not in PATH (/nowhere:relative); install it, or "
               "write its path in `command` of /etc/plugins.d/kv.toml");
  EXPECT_TRUE(processes.spawned.empty());
}

TEST_F(NativeTest, CancellingLeavesNothing) {
  bound = false;
  start();
  cancel_start();
  EXPECT_TRUE(finished);
  EXPECT_FALSE(ready());
  EXPECT_TRUE(process().destroyed && process().gone());
}

TEST_F(NativeTest, CancellingDuringTheHealthCheckLeavesNothing) {
  answer = [](const auto&) { return std::nullopt; };
  start();
  cancel_start();
  EXPECT_TRUE(finished);
  EXPECT_TRUE(process().destroyed);
  EXPECT_TRUE(connector.last().destroyed);
}

TEST_F(NativeTest, OutputGoesToTheLogDuringAndAfterTheStart) {
  bound = false;
  start();
  process().print_stdout("before\n");
  bound = true;
  clock.advance(50ms);
  ASSERT_TRUE(ready());
  process().print_stdout("after\n");
  process().print_stderr("as well\n");
  EXPECT_EQ(log_text(), "out: before\nout: after\nerr: as well\n");
}

TEST_F(NativeTest, ProbeAsksTheWholeServersHealth) {
  start();
  ASSERT_TRUE(ready());
  probe(300ms);
  EXPECT_EQ(probed, "well");
  EXPECT_EQ(connector.last().calls.back().method, "/grpc.health.v1.Health/Check");
  EXPECT_EQ(connector.last().calls.back().request, "");
  connector.last().on_unary = [](const auto&) { return health(2); };
  probe(300ms);
  EXPECT_EQ(probed, "its health service says NOT_SERVING");
}

TEST_F(NativeTest, ProbeOfAServerWithoutAHealthServiceFindsItWell) {
  start();
  ASSERT_TRUE(ready());
  connector.last().on_unary = [](const auto&) { return failed_call(StatusCode::kUnimplemented); };
  probe(300ms);
  EXPECT_EQ(probed, "well");
}

TEST_F(NativeTest, ProbeWaitsNoLongerThanItsBound) {
  start();
  ASSERT_TRUE(ready());
  connector.last().on_unary = [](const auto&) { return std::nullopt; };
  probe(300ms);
  EXPECT_EQ(probed, "");
  clock.advance(300ms);
  EXPECT_EQ(probed, "its health service gives no answer within 300 ms");
}

TEST_F(NativeTest, ProbeOfALostConnectionIsAnError) {
  start();
  ASSERT_TRUE(ready());
  connector.last().on_unary = [](const auto&) { return std::nullopt; };
  probe(300ms);
  connector.last().fail();
  run();
  EXPECT_EQ(probed, "error");
}

TEST_F(NativeTest, ShutdownIsTheStopSequencesBusiness) {
  start();
  ASSERT_TRUE(ready());
  bool done = false;
  boost::asio::co_spawn(loop, dialect->request_shutdown(**result, clock, 1s),
                        [&](std::exception_ptr) { done = true; });
  run();
  EXPECT_TRUE(done);
  EXPECT_EQ(connector.last().calls.size(), 1u);  // The health check.
}

}  // namespace
}  // namespace plugind::dialect
