// Every kind of call through the forwarder, and who it is told to whom.
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "tests/unit/forward/forward_fixture.h"

namespace plugind::forward::testing {
namespace {

class CallsTest : public ForwardTest {
 protected:
  void serve_unary(std::string reply) {
    serve_ = [reply](Peer& plugin, Stream& stream) {
      plugin.respond(stream, {{"x-head", "1"}});
      plugin.send(stream, framed(reply));
      plugin.trailers(stream, {{"grpc-status", "0"}, {"x-tail-bin", "AAEC"}});
    };
  }
  void expect_status(const Stream& stream, const std::string& code, const std::string& words) {
    EXPECT_EQ(stream.trailers.count("grpc-status") ? stream.trailers.at("grpc-status") : "none",
              code);
    const auto message = stream.trailers.find("grpc-message");
    ASSERT_NE(message, stream.trailers.end());
    EXPECT_NE(message->second.find(words), std::string::npos) << message->second;
    EXPECT_TRUE(stream.trailers.contains("grpc-status-details-bin"));
  }
};

TEST_F(CallsTest, UnaryPassesMetadataBodyAndTrailersUntouched) {
  serve_unary("pong");
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do", {{"x-key", " spaces stay "}, {"x-raw-bin", "AP8"}});
  host->send(call, framed("ping"));
  host->finish(call);
  wait_closed(call);
  EXPECT_EQ(call.headers["x-head"], "1");
  EXPECT_EQ(call.data, framed("pong"));
  EXPECT_EQ(call.trailers["grpc-status"], "0");
  EXPECT_EQ(call.trailers["x-tail-bin"], "AAEC");
  EXPECT_EQ(call.error, wire::kNoError);

  const Stream& seen = *plugin().streams.begin()->second;
  EXPECT_EQ(seen.data, framed("ping"));
  auto headers = seen.headers;
  EXPECT_EQ(headers[":path"], "/test.echo/Do");
  EXPECT_EQ(headers["x-key"], " spaces stay ");
  EXPECT_EQ(headers["x-raw-bin"], "AP8");
  EXPECT_EQ(headers[":authority"], "localhost") << "tonic refuses socket paths";
}

TEST_F(CallsTest, AHostCannotForgeTheDaemonsMetadata) {
  serve_unary("");
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/any.Thing/Do",
                               {{"plugind-plugin", "echo"}, {"plugind-peer-uid", "12345"}}, false);
  wait_closed(call);
  auto headers = plugin().streams.begin()->second->headers;
  EXPECT_EQ(headers["plugind-peer-uid"], std::to_string(::getuid()));
  EXPECT_FALSE(headers.contains("plugind-plugin"));
  EXPECT_TRUE(headers.contains("plugind-call-id"));
}

TEST_F(CallsTest, ACallMaySayWhichVersionItIsFor) {
  serve_unary("");
  plugin::Manifest echo = manifest("echo");
  echo.version = "1.2.0";
  apply({echo});
  const auto host = connect();
  Stream& call = host->request("/any.Thing/Do", {{"plugind-plugin", "echo@1.2.0"}}, false);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
  Stream& other = host->request("/any.Thing/Do", {{"plugind-plugin", "echo@1.3.0"}}, false);
  wait_closed(other);
  expect_status(other, "5", "echo@1.2.0");
}

TEST_F(CallsTest, ATrailersOnlyAnswerStaysOne) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.respond(stream, {{"grpc-status", "5"}, {"grpc-message", "no%20such"}}, false);
  };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do");
  host->send(call, framed("x"));
  host->finish(call);
  wait_closed(call);
  EXPECT_TRUE(call.trailers_only);
  EXPECT_EQ(call.headers["grpc-status"], "5");
  EXPECT_EQ(call.headers["grpc-message"], "no%20such");
}

TEST_F(CallsTest, BothDirectionsStreamAtTheSameTime) {
  serve_ = [](Peer& plugin, Stream& stream) { plugin.respond(stream); };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& call = host->request("/test.echo/Chat");
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    host->send(call, framed("ping " + std::to_string(i)));
    run_until([&] { return !plugins_.empty() && !plugin().streams.empty(); }, "the call");
    Stream& seen = *plugin().streams.begin()->second;
    const std::size_t want = expected.size() + framed("ping " + std::to_string(i)).size();
    run_until([&] { return seen.data.size() == want; }, "the ping");
    plugin().send(seen, seen.data.substr(expected.size()));
    run_until([&] { return call.data.size() == want; }, "the pong");
    expected = call.data;
  }
  host->finish(call);
  Stream& seen = *plugin().streams.begin()->second;
  run_until([&] { return seen.ended; }, "the half-close");
  plugin().trailers(seen);
  wait_closed(call);
  EXPECT_EQ(call.data, seen.data);
  EXPECT_EQ(call.error, wire::kNoError);
}

// By which plugin and host tell each other of more connections; on a plugin socket it is a call
// like any other, also of a go-plugin plugin, some of whose calls the daemon answers itself.
TEST_F(CallsTest, ABrokersStreamPassesThroughThePluginSocket) {
  serve_ = [](Peer& plugin, Stream& stream) { plugin.respond(stream); };
  auto m = manifest("kv");
  m.scope = plugin::Scope::kHost;
  m.dialect = plugin::DialectKind::kGoPlugin;
  apply({m});
  const auto host = connect("kv");
  Stream& call = host->request("/plugin.GRPCBroker/StartStream");
  run_until([&] { return !plugins_.empty() && !plugin().streams.empty(); }, "the stream");
  ASSERT_FALSE(HasFatalFailure());
  Stream& seen = *plugin().streams.begin()->second;
  EXPECT_EQ(seen.headers[":path"], "/plugin.GRPCBroker/StartStream");
  // Either side may speak first, and both more than once.
  std::string to_plugin;
  std::string to_host;
  for (int i = 0; i < 3; ++i) {
    plugin().send(seen, framed("from the plugin " + std::to_string(i)));
    to_host += framed("from the plugin " + std::to_string(i));
    run_until([&] { return call.data == to_host; }, "what the plugin says");
    host->send(call, framed("from the host " + std::to_string(i)));
    to_plugin += framed("from the host " + std::to_string(i));
    run_until([&] { return seen.data == to_plugin; }, "what the host says");
  }
  host->finish(call);
  run_until([&] { return seen.ended; }, "the half-close");
  EXPECT_FALSE(call.closed);
  plugin().trailers(seen);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
  EXPECT_EQ(call.error, wire::kNoError);
}

// A table that all calls of a connection share must not learn what one of them wanted kept out of
// it.
TEST_F(CallsTest, WhatMustNotBeIndexedIsNotIndexedOnTheNextHopEither) {
  serve_ = [](Peer& plugin, Stream& stream) {
    plugin.never_index = {"x-head-secret", "x-tail-secret"};
    plugin.respond(stream, {{"x-head-secret", "1"}, {"x-head", "2"}, {"set-cookie", "3"}});
    plugin.trailers(stream, {{"grpc-status", "0"}, {"x-tail-secret", "4"}});
  };
  apply({manifest("echo")});
  const auto host = connect();
  host->never_index = {"x-secret"};
  Stream& call = host->request(
      "/test.echo/Do", {{"x-secret", "1"}, {"x-plain", "2"}, {"authorization", "3"}}, false);
  wait_closed(call);
  const Stream& seen = *plugin().streams.begin()->second;
  EXPECT_EQ(seen.headers.at("x-secret"), "1");
  EXPECT_EQ(seen.never_indexed, (std::set<std::string>{"authorization", "x-secret"}));
  EXPECT_EQ(call.headers["x-head-secret"], "1");
  EXPECT_EQ(call.trailers["x-tail-secret"], "4");
  EXPECT_EQ(call.never_indexed,
            (std::set<std::string>{"set-cookie", "x-head-secret", "x-tail-secret"}));
}

TEST_F(CallsTest, AnInformationalBlockIsPassedOn) {
  apply({manifest("echo")});
  serve_ = [](Peer& plugin, Stream& stream) {
    wire::HeaderList early;
    early.add(":status", "103");
    plugin.session().submit_informational(stream.id, early);
    plugin.respond(stream);
    plugin.trailers(stream);
  };
  const auto host = connect();
  Stream& call = host->request("/test.echo/Do", {}, false);
  wait_closed(call);
  EXPECT_EQ(call.headers[":status"], "200");
  EXPECT_EQ(call.trailers["grpc-status"], "0");
}

TEST_F(CallsTest, TheOnlyPluginThatDeclaresAServiceGetsItsCalls) {
  serve_unary("");
  apply({manifest("one"), manifest("two")});
  const auto host = connect();
  Stream& call = host->request("/test.two/Do", {}, false);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
  EXPECT_EQ(supervisor_->status("two")->calls, 1u);
  EXPECT_EQ(supervisor_->status("one")->calls, 0u);
}

TEST_F(CallsTest, NoneOrSeveralIsAnErrorThatNamesThem) {
  auto one = manifest("one");
  auto two = manifest("two");
  one.services = two.services = {"shared.Service"};
  apply({one, two});
  const auto host = connect();
  Stream& several = host->request("/shared.Service/Do", {}, false);
  wait_closed(several);
  expect_status(several, "9", "one, two");
  Stream& none = host->request("/no.Service/Do", {}, false);
  wait_closed(none);
  expect_status(none, "5", "no plugin declares the service 'no.Service'");
  Stream& unknown = host->request("/no.Service/Do", {{"plugind-plugin", "nix"}}, false);
  wait_closed(unknown);
  expect_status(unknown, "5", "no plugin 'nix' is registered");
  Stream& version = host->request("/a.B/Do", {{"plugind-plugin", "one@9"}}, false);
  wait_closed(version);
  expect_status(version, "5", "one@1.0.0");
}

TEST_F(CallsTest, OnAPluginSocketEveryCallGoesToThatPlugin) {
  serve_unary("");
  apply({manifest("one"), manifest("two")});
  const auto host = connect("one");
  for (const char* path : {"/test.two/Do", "/grpc.health.v1.Health/Check", "/plugind.v1.X/Do"}) {
    Stream& call = host->request(path, {}, false);
    wait_closed(call);
    EXPECT_EQ(call.trailers["grpc-status"], "0") << path;
  }
  EXPECT_EQ(supervisor_->status("one")->calls, 3u);
}

TEST_F(CallsTest, WhatIsNotGrpcIsRefusedAsTheSpecificationSays) {
  apply({manifest("echo")});
  const auto host = connect();
  Stream& html = host->request("/test.echo/Do", {{"content-type", "text/html"}}, false);
  wait_closed(html);
  EXPECT_EQ(html.headers[":status"], "415");
  Stream& get = host->request("/test.echo/Do", {{":method", "GET"}}, false);
  wait_closed(get);
  EXPECT_EQ(get.headers[":status"], "405");
  Stream& timeout = host->request("/test.echo/Do", {{"grpc-timeout", "soon"}}, false);
  wait_closed(timeout);
  expect_status(timeout, "3", "grpc-timeout 'soon'");
  EXPECT_EQ(starts_, 0);
}

TEST_F(CallsTest, AnHttp1ClientIsToldWhatThisIs) {
  apply({manifest("echo")});
  auto socket = connect_raw();
  const std::string request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  boost::asio::write(socket, boost::asio::buffer(request));
  run_idle();
  std::string answer(4'096, '\0');
  boost::system::error_code ec;
  const std::size_t size = boost::asio::read(socket, boost::asio::buffer(answer), ec);
  answer.resize(size);
  EXPECT_EQ(ec, boost::asio::error::eof);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 Bad Request\r\n")) << answer;
  const auto body = answer.find("\r\n\r\n") + 4;
  EXPECT_NE(answer.find("Content-Length: " + std::to_string(answer.size() - body)),
            std::string::npos)
      << answer;
}

TEST_F(CallsTest, GarbageEndsThatConnectionOnly) {
  serve_unary("");
  apply({manifest("echo")});
  const auto good = connect();
  auto socket = connect_raw();
  std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  for (int i = 0; i < 2'000; ++i) bytes += static_cast<char>(i * 37);
  boost::system::error_code ec;
  boost::asio::write(socket, boost::asio::buffer(bytes), ec);
  run_idle();
  std::string rest(65'536, '\0');
  boost::asio::read(socket, boost::asio::buffer(rest), ec);
  EXPECT_TRUE(ec) << "it was closed";
  Stream& call = good->request("/test.echo/Do", {}, false);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
}

TEST_F(CallsTest, PingsAreAnsweredWithoutACall) {
  apply({manifest("echo")});
  auto socket = connect_raw();
  std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  bytes += std::string("\0\0\0\x04\0\0\0\0\0", 9);  // SETTINGS
  const std::string ping(
      "\0\0\x08\x06\0\0\0\0\0"
      "12345678",
      17);
  std::string answer = ping;
  answer[4] = '\x01';
  boost::asio::write(socket, boost::asio::buffer(bytes + ping + ping));
  socket.non_blocking(true);
  std::string seen;
  run_until(
      [&] {
        char buffer[4'096];
        boost::system::error_code ec;
        seen.append(buffer, socket.read_some(boost::asio::buffer(buffer), ec));
        const auto first = seen.find(answer);
        return first != std::string::npos && seen.find(answer, first + 1) != std::string::npos;
      },
      "two answers");
}

TEST_F(CallsTest, TooMuchMetadataIsRefusedAndTheConnectionGoesOn) {
  serve_unary("");
  apply({manifest("echo")});
  const auto host = connect();
  Peer::Headers many;
  for (int i = 0; i < 40; ++i) many.emplace_back("x-" + std::to_string(i), std::string(3'000, 'v'));
  Stream& large = host->request("/test.echo/Do", many, false);
  wait_closed(large);
  expect_status(large, "8", "metadata is larger than 65536 bytes");
  Stream& call = host->request("/test.echo/Do", {}, false);
  wait_closed(call);
  EXPECT_EQ(call.trailers["grpc-status"], "0");
}

TEST_F(CallsTest, ARequestMessageOverTheBoundIsRefusedBeforeItIsSent) {
  serve_ = [](Peer&, Stream&) {};
  auto m = manifest("echo");
  m.calls_max_message = 1'000;
  apply({m});
  const auto host = connect();
  Stream& fits = host->request("/test.echo/Do");
  host->send(fits, framed(std::string(1'000, 'x')));
  run_until(
      [&] {
        return !plugins_.empty() && !plugin().streams.empty() &&
               plugin().streams.begin()->second->data.size() == 1'005;
      },
      "a message at the bound");
  EXPECT_FALSE(fits.closed);
  Stream& large = host->request("/test.echo/Do");
  host->send(large, framed(std::string(1'001, 'x')));
  wait_closed(large);
  expect_status(large, "8", "a request message has 1001 bytes; plugin 'echo' takes 1000");
}

TEST_F(CallsTest, OneHostProcessHasOneInstanceOnAllItsConnections) {
  serve_unary("");
  auto m = manifest("kv");
  m.scope = plugin::Scope::kHost;
  apply({m});
  for (const auto& host : {connect(), connect(), connect("kv")}) {
    Stream& call = host->request("/test.kv/Do", {}, false);
    wait_closed(call);
    EXPECT_EQ(call.trailers["grpc-status"], "0");
  }
  EXPECT_EQ(starts_, 1);
}

TEST_F(CallsTest, AGoPluginHostsShutdownIsAnsweredByTheDaemon) {
  serve_unary("");
  auto m = manifest("kv");
  m.scope = plugin::Scope::kHost;
  m.dialect = plugin::DialectKind::kGoPlugin;
  apply({m});
  const auto host = connect("kv");
  Stream& call = host->request("/test.kv/Do", {}, false);
  wait_closed(call);
  Stream& shutdown = host->request("/plugin.GRPCController/Shutdown");
  host->send(shutdown, framed(""));
  host->finish(shutdown);
  wait_closed(shutdown);
  EXPECT_EQ(shutdown.trailers["grpc-status"], "0");
  EXPECT_EQ(shutdown.data, framed(""));
  EXPECT_EQ(plugin().streams.size(), 1u) << "the plugin never saw it";
}

TEST_F(CallsTest, AGoPluginHostGetsACopyOfTheOutput) {
  serve_unary("");
  auto m = manifest("kv");
  m.scope = plugin::Scope::kHost;
  m.dialect = plugin::DialectKind::kGoPlugin;
  apply({m});
  const auto host = connect("kv");
  Stream& call = host->request("/test.kv/Do", {}, false);
  wait_closed(call);
  Stream& output = host->request("/plugin.GRPCStdio/StreamStdio");
  host->send(output, framed(""));
  host->finish(output);
  run_until([&] { return !output.headers.empty(); }, "the stream");
  auto log = *supervisor_->log("kv");
  log->append("kv#1", plugin::OutputStream::kStderr, "hello\n", {});
  log->append("kv#2", plugin::OutputStream::kStderr, "of another host\n", {});
  const std::string expected = framed(std::string("\x08\x02\x12\x06hello\n", 10));
  run_until([&] { return output.data.size() >= expected.size(); }, "the line");
  run_idle();
  EXPECT_EQ(output.data, expected);
}

TEST_F(CallsTest, ADrainingDaemonSaysGoawayAndFinishesWhatRuns) {
  serve_ = [](Peer& plugin, Stream& stream) { plugin.respond(stream); };
  apply({manifest("echo")});
  const auto host = connect();
  Stream& running = host->request("/test.echo/Do");
  run_until([&] { return !running.headers.empty(); }, "the response to begin");
  forwarder_->drain();
  run_until([&] { return host->saw_goaway; }, "GOAWAY");
  EXPECT_FALSE(running.closed);
  plugin().trailers(*plugin().streams.begin()->second);
  wait_closed(running);
  EXPECT_EQ(running.trailers["grpc-status"], "0");
}

}  // namespace
}  // namespace plugind::forward::testing
