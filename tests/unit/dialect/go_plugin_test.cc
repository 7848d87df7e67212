#include "daemon/dialect/go_plugin.h"

#include "tests/unit/dialect/start_test.h"

namespace plugind::dialect {
namespace {

constexpr char kHandshake[] = "1|1|unix|/tmp/plugin123|grpc\n";

class GoPluginTest : public StartTest {
 protected:
  GoPluginTest() {
    dialect = make_go_plugin_dialect();
    manifest.dialect = plugin::DialectKind::kGoPlugin;
    manifest.go_plugin.cookie_key = "BASIC_PLUGIN";
    manifest.go_plugin.cookie_value = "hello";
  }

  // A start whose process prints `text`.
  void start_printing(std::string_view text) {
    start();
    process().print_stdout(text);
    run();
  }
  void answer_health(std::function<std::optional<FakeConnection::Answer>()> answer) {
    connector.on_connect = [answer](FakeConnection& connection) {
      connection.on_unary = [answer](const auto&) { return answer(); };
      return Verdict::kAccept;
    };
  }
};

TEST_F(GoPluginTest, PassesCookieAndVersions) {
  manifest.go_plugin.protocol_versions = {4, 5};
  start();
  EXPECT_EQ(process().variable("BASIC_PLUGIN"), "hello");
  EXPECT_EQ(process().variable("PLUGIN_PROTOCOL_VERSIONS"), "4,5");
  EXPECT_EQ(process().variable("PLUGIN_MIN_PORT"), "10000");
  EXPECT_EQ(process().variable("PLUGIN_MAX_PORT"), "25000");
  EXPECT_EQ(process().variable("PLUGIN_UNIX_SOCKET_DIR"), "/run/plugind/instances/kv#1");
  EXPECT_EQ(process().variable("TMPDIR"), "/run/plugind/instances/kv#1");
  EXPECT_EQ(process().variable("PLUGIN_CLIENT_CERT"), std::nullopt);
  EXPECT_EQ(process().spec.listen_socket, "");
  cancel_start();
}

TEST_F(GoPluginTest, TheCookieMayStandInEnv) {
  manifest.go_plugin = {};
  manifest.env = {{"MY_COOKIE", "yes"}};
  start();
  EXPECT_EQ(process().variable("MY_COOKIE"), "yes");
  cancel_start();
}

TEST_F(GoPluginTest, ConnectsWhereTheHandshakeSays) {
  start();
  EXPECT_TRUE(connector.attempts.empty());
  process().print_stdout(kHandshake);
  run();
  ASSERT_TRUE(ready());
  EXPECT_EQ((*result)->endpoint.address, "unix:/tmp/plugin123");
  EXPECT_EQ((*result)->protocol_version, 1u);
}

TEST_F(GoPluginTest, WithoutANetworkNobodyIsAskedOnTcp) {
  manifest.sandbox.network = false;
  start_printing("1|1|tcp|127.0.0.1:1234|grpc\n");
  expect_error(Reason::kIsolationUnavailable,
               "it listens on tcp:127.0.0.1:1234, where `sandbox.network` lets nobody reach it: "
               "let it listen on a Unix socket in PLUGIN_UNIX_SOCKET_DIR, or remove that from the "
               "manifest");
  EXPECT_TRUE(connector.attempts.empty());
}

TEST_F(GoPluginTest, WithoutANetworkAUnixSocketWillDo) {
  manifest.sandbox.network = false;
  start_printing(kHandshake);
  EXPECT_TRUE(ready());
}

TEST_F(GoPluginTest, TheHandshakeMayComeInPieces) {
  start();
  for (const char* piece : {"1|1|un", "ix|/tmp/plugin123|gr", "pc|"}) {
    process().print_stdout(piece);
    run();
    EXPECT_FALSE(finished);
  }
  process().print_stdout("\r\nafter");
  run();
  EXPECT_TRUE(ready());
}

TEST_F(GoPluginTest, StderrIsNoHandshake) {
  start();
  process().print_stderr(kHandshake);
  run();
  EXPECT_FALSE(finished);
  cancel_start();
}

TEST_F(GoPluginTest, NoiseBeforeTheHandshakeIsLogged) {
  start_printing("loading…\n\n{\"a\":1}\n1|not|it\n1|1|unix|/tmp/plugin123|grpc\nafter\n");
  ASSERT_TRUE(ready());
  process().print_stdout("later\n");
  EXPECT_EQ(log_text(),
            "out: loading…\nout: \nout: {\"a\":1}\nout: 1|not|it\n"
            "out: 1|1|unix|/tmp/plugin123|grpc\nout: after\nout: later\n");
}

TEST_F(GoPluginTest, TooManyLinesOfNoiseAreRefused) {
  std::string noise;
  for (int i = 0; i < 101; ++i) noise += "line " + std::to_string(i) + "\n";
  start_printing(noise);
  expect_error(
      Reason::kHandshakeInvalid,
      "it printed 101 lines to stdout that are no handshake: \"line 0\", \"line 1\", "
      "\"line 2\", …; a go-plugin plugin prints its handshake first: correct `dialect`, or "
      "name a program in `command` that serves a plugin");
  EXPECT_TRUE(process().killed > 0);
}

TEST_F(GoPluginTest, AnEndlessLineIsRefused) {
  start();
  for (int i = 0; i < 9 && !finished; ++i) {
    process().print_stdout(std::string(8 << 10, '\1'));
    run();
  }
  EXPECT_EQ(error().reason, Reason::kHandshakeInvalid);
  EXPECT_TRUE(
      error().message.starts_with("it printed 1 line to stdout that is no handshake: "
                                  "\"\\x01\\x01"))
      << error().message;
  EXPECT_LT(error().message.size(), 1000u);
}

TEST_F(GoPluginTest, NoiseAloneUntilTheTimeoutIsToldAsSuch) {
  start_printing("hello\nworld");
  clock.advance(10s);
  expect_error(Reason::kHandshakeInvalid,
               "it gave no go-plugin handshake within 10 s; it printed 2 lines to stdout that are "
               "no handshake: \"hello\", \"world\"; a go-plugin plugin prints its handshake first: "
               "correct `dialect`, or name a program in `command` that serves a plugin, or raise "
               "start.timeout if it is slow to start");
}

TEST_F(GoPluginTest, SilenceUntilTheTimeoutIsStartTimeout) {
  start();
  clock.advance(9'999ms);
  EXPECT_FALSE(finished);
  clock.advance(1ms);
  expect_error(Reason::kStartTimeout,
               "it printed nothing to stdout within 10 s, not even go-plugin's handshake; raise "
               "start.timeout if it is slow to start");
  EXPECT_TRUE(process().killed > 0 && process().gone());
}

TEST_F(GoPluginTest, AnExitBeforeTheHandshakeIsTold) {
  start();
  process().print_stdout("hello\n");
  process().print_stderr("panic: no disk\n");
  process().exit(2);
  run();
  expect_error(Reason::kStartExited,
               "it ended with exit code 2 after 0 ms, before it was ready; it printed 1 line to "
               "stdout that is no handshake: \"hello\"; a go-plugin plugin prints its handshake "
               "first: correct `dialect`, or name a program in `command` that serves a plugin; its "
               "last stderr:\npanic: no disk");
}

TEST_F(GoPluginTest, AnExitWithoutAWordIsToldWithWhatToDo) {
  start();
  process().exit(2);
  run();
  expect_error(
      Reason::kStartExited,
      "it ended with exit code 2 after 0 ms, before it was ready; run its `command` by hand "
      "to see why; variables that it misses go into `env` or `env_allow` of the manifest");
}

TEST_F(GoPluginTest, AWrongCookieIsRecognised) {
  start();
  process().print_stderr(
      "This binary is a plugin. These are not meant to be executed directly.\n"
      "Please execute the program that consumes these plugins, which will\n"
      "load any plugins automatically\n");
  process().exit(1);
  run();
  EXPECT_EQ(error().reason, Reason::kStartExited);
  EXPECT_TRUE(error().message.starts_with(
      "it ended with exit code 1 after 0 ms, before it was ready; the cookie in the manifest is "
      "wrong: the plugin does not know it was started by a host. The manifest sets BASIC_PLUGIN; "
      "make go-plugin.cookie_key and go-plugin.cookie_value the MagicCookieKey and "
      "MagicCookieValue of the plugin's source; its last stderr:\nThis binary is a plugin."))
      << error().message;
}

TEST_F(GoPluginTest, AMissingCookieIsRecognised) {
  manifest.go_plugin = {};
  start();
  process().print_stderr("This binary is a plugin. These are not meant to be executed directly.\n");
  process().exit(1);
  run();
  EXPECT_NE(error().message.find("The manifest has no go-plugin.cookie_key"), std::string::npos);
}

TEST_F(GoPluginTest, NetRpcIsRefused) {
  start_printing("1|1|unix|/tmp/plugin123\n");
  expect_error(Reason::kProtocolUnsupported,
               "it speaks Go's net/rpc, not gRPC (its handshake ends without \"|grpc\"); plugind "
               "needs a plugin that serves gRPC: set GRPCServer in its ServeConfig and implement "
               "GRPCPlugin");
  EXPECT_TRUE(connector.attempts.empty());
}

TEST_F(GoPluginTest, AnAddressThatRefusesIsConnectFailed) {
  connector.on_connect = [](auto&) { return Verdict::kRefuse; };
  start_printing(kHandshake);
  clock.advance(4s);
  EXPECT_FALSE(finished);  // A server may come a moment after its handshake.
  clock.advance(2s);
  expect_error(Reason::kConnectFailed,
               "it announced unix:/tmp/plugin123, but no gRPC server answers there: "
               "unix:/tmp/plugin123: connection refused; plugind speaks plain HTTP/2, so a plugin "
               "with a TLSProvider of its own cannot be used");
}

TEST_F(GoPluginTest, AnAddressThatIsNoTextIsShownAsText) {
  connector.on_connect = [](auto&) { return Verdict::kRefuse; };
  start_printing("1|1|unix|/tmp/\x05\xff|grpc\n");
  clock.advance(6s);
  expect_error(Reason::kConnectFailed,
               "it announced unix:/tmp/\\x05\\xff, but no gRPC server answers there: "
               "unix:/tmp/\\x05\\xff: connection refused; plugind speaks plain HTTP/2, so a plugin "
               "with a TLSProvider of its own cannot be used");
}

TEST_F(GoPluginTest, AnAddressThatAnswersLateIsFine) {
  bool listens = false;
  connector.on_connect = [&](auto&) { return listens ? Verdict::kAccept : Verdict::kRefuse; };
  start_printing(kHandshake);
  clock.advance(1s);
  listens = true;
  clock.advance(100ms);
  EXPECT_TRUE(ready());
}

TEST_F(GoPluginTest, ASilentAddressIsStartTimeout) {
  connector.on_connect = [](auto&) { return Verdict::kSilence; };
  start_printing(kHandshake);
  clock.advance(10s);
  expect_error(Reason::kStartTimeout,
               "it announced unix:/tmp/plugin123, and nothing answered there as a gRPC server "
               "within 10 s of its start");
}

TEST_F(GoPluginTest, AnExitDuringConnectIsAnExit) {
  connector.on_connect = [](auto&) { return Verdict::kSilence; };
  start_printing(kHandshake);
  process().die(9);
  run();
  EXPECT_EQ(error().reason, Reason::kStartExited);
}

TEST_F(GoPluginTest, AConnectionLostToAnExitIsAnExit) {
  answer_health([] { return std::nullopt; });
  start_printing(kHandshake);
  connector.last().fail();
  clock.advance(100ms);  // The death is seen a moment after the connection's end.
  EXPECT_FALSE(finished);
  process().exit(1);
  run();
  EXPECT_EQ(error().reason, Reason::kStartExited);
}

TEST_F(GoPluginTest, AConnectionLostOtherwiseIsConnectFailed) {
  answer_health([] { return std::nullopt; });
  start_printing(kHandshake);
  connector.last().fail();
  clock.advance(200ms);
  EXPECT_EQ(error().reason, Reason::kConnectFailed);
}

TEST_F(GoPluginTest, AsksTheHealthOfPlugin) {
  start_printing(kHandshake);
  ASSERT_EQ(connector.last().calls.size(), 1u);
  EXPECT_EQ(connector.last().calls[0].method, "/grpc.health.v1.Health/Check");
  EXPECT_EQ(connector.last().calls[0].request, "\x0a\x06plugin");
}

TEST_F(GoPluginTest, PluginsWithoutHealthServiceAreReady) {
  answer_health([] { return failed_call(StatusCode::kUnimplemented); });
  start_printing(kHandshake);
  EXPECT_TRUE(ready());
}

TEST_F(GoPluginTest, PluginsThatDoNotServeAreNotReady) {
  answer_health([] { return health(2); });
  start_printing(kHandshake);
  clock.advance(10s);
  expect_error(Reason::kNotReady,
               "it is not ready after 10 s: its health service says NOT_SERVING about service "
               "\"plugin\"");
}

TEST_F(GoPluginTest, AnUnansweredHealthCheckIsStartTimeout) {
  answer_health([] { return std::nullopt; });
  start_printing(kHandshake);
  clock.advance(10s);
  expect_error(Reason::kStartTimeout,
               "it announced unix:/tmp/plugin123, and its gRPC server there did not answer "
               "grpc.health.v1.Health/Check within 10 s of its start");
}

TEST_F(GoPluginTest, PluginsWhoseHealthServiceDoesNotKnowThemAreNotReady) {
  answer_health([] { return failed_call(StatusCode::kNotFound); });
  start_printing(kHandshake);
  clock.advance(10s);
  expect_error(Reason::kNotReady,
               "it is not ready after 10 s: its health service does not know the service "
               "\"plugin\"");
}

TEST_F(GoPluginTest, StdioIsOpenedOnceAndEarly) {
  answer_health([this] {
    EXPECT_EQ(connector.last().streams.size(), 1u);
    return health(1);
  });
  start_printing(kHandshake);
  ASSERT_TRUE(ready());
  ASSERT_EQ(connector.last().streams.size(), 1u);
  EXPECT_EQ(connector.last().streams[0].method, "/plugin.GRPCStdio/StreamStdio");
  EXPECT_EQ(connector.last().streams[0].request, "");
}

TEST_F(GoPluginTest, StdioGoesToTheLogInWholeLines) {
  start_printing(kHandshake);
  ASSERT_TRUE(ready());
  FakeConnection& connection = connector.last();
  connection.send(0, std::string_view("\x08\x01\x12\x04one\n", 8));
  connection.send(0, std::string_view("\x08\x02\x12\x03"
                                      "err",
                                      7));
  connection.send(0, std::string_view("\x08\x01\x12\x03two", 7));
  process().print_stderr("from the pipe\n");
  connection.send(0, std::string_view("\x08\x02\x12\x02"
                                      "or\n",
                                      7)
                         .substr(0, 6));
  connection.send(0, "\xff");                                       // malformed
  connection.send(0, std::string_view("\x08\x07\x12\x02no\n", 6));  // an unknown channel
  connection.send(0, std::string_view("\x08\x02\x12\x01\n", 5));
  connection.end(0, {StatusCode::kUnavailable, "", ""});
  EXPECT_EQ(log_text(),
            "out: 1|1|unix|/tmp/plugin123|grpc\nout: one\nerr: from the pipe\nerr: error\nout: "
            "two\n");
}

TEST_F(GoPluginTest, APluginWithoutStdioIsFine) {
  start_printing(kHandshake);
  ASSERT_TRUE(ready());
  connector.last().end(0, {StatusCode::kUnimplemented, "unknown service", ""});
  run();
  EXPECT_TRUE(connector.last().alive());
}

TEST_F(GoPluginTest, CancellingWhileWaitingForTheHandshakeLeavesNothing) {
  start();
  cancel_start();
  EXPECT_TRUE(finished && process().destroyed);
  EXPECT_FALSE(ready());
}

TEST_F(GoPluginTest, CancellingWhileConnectingLeavesNothing) {
  connector.on_connect = [](auto&) { return Verdict::kSilence; };
  start_printing(kHandshake);
  cancel_start();
  EXPECT_TRUE(finished && process().destroyed);
}

TEST_F(GoPluginTest, ProbeAsksForTheServicePlugin) {
  start_printing(kHandshake);
  ASSERT_TRUE(ready());
  probe(300ms);
  EXPECT_EQ(probed, "well");
  EXPECT_EQ(connector.last().calls.back().method, "/grpc.health.v1.Health/Check");
  EXPECT_EQ(connector.last().calls.back().request, "\x0a\x06plugin");
  EXPECT_EQ(connector.last().calls.back().timeout, 300ms);
  connector.last().on_unary = [](const auto&) { return health(2); };
  probe(300ms);
  EXPECT_EQ(probed, "its health service says NOT_SERVING about service \"plugin\"");
}

TEST_F(GoPluginTest, ShutdownIsTheControllersCall) {
  start_printing(kHandshake);
  ASSERT_TRUE(ready());
  int finished_requests = 0;
  const auto request = [&] {
    boost::asio::co_spawn(loop, dialect->request_shutdown(**result, clock, 1s),
                          [&](std::exception_ptr) { ++finished_requests; });
    run();
  };
  request();
  EXPECT_EQ(finished_requests, 1);
  ASSERT_EQ(connector.last().calls.size(), 2u);
  EXPECT_EQ(connector.last().calls[1].method, "/plugin.GRPCController/Shutdown");
  EXPECT_EQ(connector.last().calls[1].timeout, 1s);

  connector.last().on_unary = [](const auto&) { return std::nullopt; };
  request();
  EXPECT_EQ(finished_requests, 1);
  connector.last().fail();  // The server went without an answer: the usual success.
  run();
  EXPECT_EQ(finished_requests, 2);

  request();  // A dead connection is no obstacle.
  EXPECT_EQ(finished_requests, 3);
}

TEST_F(GoPluginTest, ShutdownIsBounded) {
  start_printing(kHandshake);
  ASSERT_TRUE(ready());
  connector.last().on_unary = [](const auto&) { return std::nullopt; };
  bool done = false;
  boost::asio::co_spawn(loop, dialect->request_shutdown(**result, clock, 1s),
                        [&](std::exception_ptr) { done = true; });
  clock.advance(999ms);
  EXPECT_FALSE(done);
  clock.advance(1ms);
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace plugind::dialect
