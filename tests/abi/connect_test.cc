// pd_connect: addresses, and what may answer there; options; forks.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "client-lib/include/plugind/plugind.h"
#include "tests/abi/test_server.h"

namespace plugind::test {
namespace {

struct Failure {
  int code = 0;
  std::string message;
  std::string reason;
};

Failure connect_failure(const char* address, std::int64_t timeout_ms = 0) {
  pd_error* error = nullptr;
  pd_client* client = pd_connect(address, timeout_ms, &error);
  EXPECT_EQ(client == nullptr, error != nullptr);
  pd_close(client);
  if (error == nullptr) return {};
  Failure failure{pd_error_code(error), pd_error_message(error), pd_error_reason(error)};
  pd_error_free(error);
  return failure;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Connect, NobodyThereSaysWhereAndHowToStartOne) {
  const Failure failure = connect_failure("/tmp/plugind-abi-nobody/x.sock");
  EXPECT_EQ(failure.code, 14);
  EXPECT_EQ(failure.reason, "DAEMON_UNREACHABLE");
  EXPECT_TRUE(contains(failure.message, "unix:/tmp/plugind-abi-nobody/x.sock")) << failure.message;
  EXPECT_TRUE(contains(failure.message, "plugind --manifests DIR")) << failure.message;
  EXPECT_TRUE(contains(failure.message, "systemctl start plugind")) << failure.message;
}

TEST(Connect, ASocketThatADeadServerLeftIsUnavailable) {
  TestServer server;
  server.stop();
  const Failure failure = connect_failure(server.address().c_str());
  EXPECT_EQ(failure.code, 14);
  EXPECT_TRUE(contains(failure.message, "nobody listens there")) << failure.message;
}

TEST(Connect, AddressesThatCannotBeUnderstoodAreRefused) {
  for (const char* address :
       {"plugind.sock", "http://localhost:1", "unix:relative", "tcp:", "tcp:localhost",
        "tcp:localhost:0", "tcp:localhost:65536", "tcp:localhost:x", "tcp:10.0.0.1:80",
        "tcp:example.org:80", "tcp:127.0.0.1.5:80", "tcp:127.0.0:80", "tcp::80",
        "tcp:127.0.0.256:1"}) {
    const Failure failure = connect_failure(address);
    EXPECT_EQ(failure.code, 3) << address;
    EXPECT_TRUE(contains(failure.message, "address")) << failure.message;
  }
}

TEST(Connect, APathOverTheLimitIsRefusedWithTheLimit) {
  const Failure failure = connect_failure(("/tmp/" + std::string(200, 'x')).c_str());
  EXPECT_EQ(failure.code, 3);
  EXPECT_TRUE(contains(failure.message, "107")) << failure.message;
}

TEST(Connect, EverySpellingOfAnAddressWorks) {
  TestServer server;
  EXPECT_EQ(connect_failure(server.address().c_str()).code, 0);
  EXPECT_EQ(connect_failure(server.address().c_str() + 5).code, 0);
  TestServer tcp(Manner::kServe, TestServer::Transport::kTcp);
  EXPECT_EQ(connect_failure(tcp.address().c_str()).code, 0);
  const std::string port = tcp.address().substr(tcp.address().rfind(':'));
  EXPECT_EQ(connect_failure(("tcp:localhost" + port).c_str()).code, 0);
  EXPECT_EQ(connect_failure(("tcp:[::1]" + port).c_str()).code, 14);  // Understood; nobody there.
}

TEST(Connect, TheEnvironmentNamesTheDefault) {
  TestServer server;
  ::setenv("PLUGIND_SOCKET", server.address().c_str(), 1);
  EXPECT_EQ(connect_failure(nullptr).code, 0);
  ::unsetenv("PLUGIND_SOCKET");
  ::setenv("XDG_RUNTIME_DIR", "/tmp/plugind-abi-nobody", 1);
  EXPECT_TRUE(contains(connect_failure(nullptr).message,
                       "unix:/tmp/plugind-abi-nobody/plugind/plugind.sock"));
  ::unsetenv("XDG_RUNTIME_DIR");
  const Failure failure = connect_failure(nullptr);
  EXPECT_TRUE(failure.code == 0 || contains(failure.message, "/run/plugind/plugind.sock"));
}

TEST(Connect, AServerWithoutAGreetingIsADeadline) {
  TestServer server(Manner::kSilent);
  const Failure failure = connect_failure(server.address().c_str(), 50);
  EXPECT_EQ(failure.code, 4);
  EXPECT_TRUE(contains(failure.message, "did not greet")) << failure.message;
}

TEST(Connect, AGreetingThatComesAfterACallsTimeoutIsThereForTheNextCall) {
  TestServer never(Manner::kSilent);
  auto first = std::make_unique<TestServer>();
  first->keep_directory();
  pd_client* client = pd_connect(first->address().c_str(), 100, nullptr);
  ASSERT_NE(client, nullptr);
  first->stop();

  TestServer next(Manner::kSilent, first->address());
  pd_options* options = pd_options_new();
  pd_options_set_timeout_ms(options, 20);
  pd_error* error = nullptr;
  EXPECT_EQ(pd_invoke(client, nullptr, "/a/Echo", nullptr, 0, options, &error), nullptr);
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(pd_error_code(error), 4);
  pd_error_free(error);
  next.become(Manner::kServe);
  // Meanwhile more time passes than the client allows for a greeting.
  EXPECT_EQ(connect_failure(never.address().c_str(), 200).code, 4);
  pd_reply* reply = pd_invoke(client, nullptr, "/a/Echo", nullptr, 0, nullptr, nullptr);
  EXPECT_NE(reply, nullptr);
  EXPECT_EQ(next.connections(), 1);
  pd_reply_free(reply);
  pd_options_free(options);
  pd_close(client);
}

TEST(Connect, AServerThatTakesNoConnectionIsADeadline) {
  char directory[] = "/tmp/plugind-abi-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::snprintf(name.sun_path, sizeof(name.sun_path), "%s/full.sock", directory);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  ASSERT_EQ(::listen(listener, 0), 0);
  // Fills the queue of connections.
  const int first = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::connect(first, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
  const Failure failure = connect_failure(name.sun_path, 150);
  EXPECT_EQ(failure.code, 4);
  EXPECT_TRUE(contains(failure.message, "took no connection")) << failure.message;
  ::close(first);
  ::close(listener);
  ::unlink(name.sun_path);
  ::rmdir(directory);
}

TEST(Connect, ASocketThatThisUserMayNotOpenIsPermissionDenied) {
  TestServer server;
  ASSERT_EQ(::chmod(server.address().c_str() + 5, 0), 0);
  const bool is_root = ::geteuid() == 0;  // Who may open every socket.
  if (is_root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const Failure failure = connect_failure(server.address().c_str());
  if (is_root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(failure.code, 7);
  EXPECT_TRUE(contains(failure.message, server.address())) << failure.message;
}

TEST(Connect, AServerThatClosesAtOnceIsUnavailable) {
  TestServer server(Manner::kCloseAtOnce);
  const Failure failure = connect_failure(server.address().c_str());
  EXPECT_EQ(failure.code, 14);
  EXPECT_TRUE(contains(failure.message, server.address())) << failure.message;
}

TEST(Connect, AServerOfAnotherProtocolIsUnavailable) {
  TestServer server(Manner::kGarbage);
  const Failure failure = connect_failure(server.address().c_str());
  EXPECT_EQ(failure.code, 14);
  EXPECT_TRUE(contains(failure.message, "is it plugind")) << failure.message;
}

TEST(Connect, TheErrorMayBeUnwanted) {
  EXPECT_EQ(pd_connect("nonsense", 0, nullptr), nullptr);
  EXPECT_EQ(pd_invoke(nullptr, nullptr, "/a/b", nullptr, 0, nullptr, nullptr), nullptr);
}

TEST(Arguments, AreChecked) {
  TestServer server;
  pd_client* client = pd_connect(server.address().c_str(), 0, nullptr);
  ASSERT_NE(client, nullptr);
  const auto code = [&](const char* plugin, const char* method, const void* data, size_t size) {
    pd_error* error = nullptr;
    pd_reply* reply = pd_invoke(client, plugin, method, data, size, nullptr, &error);
    pd_reply_free(reply);
    const int result = error != nullptr ? pd_error_code(error) : 0;
    pd_error_free(error);
    return result;
  };
  for (const char* method : {"", "Echo", "/Echo", "//Echo", "/a/", "/a/b/c", "/a/b c", "/a/b\n"}) {
    EXPECT_EQ(code(nullptr, method, "", 0), 3) << method;
  }
  EXPECT_EQ(code(nullptr, nullptr, "", 0), 3);
  EXPECT_EQ(code("", "/test.Test/Echo", "", 0), 3);
  EXPECT_EQ(code("k v", "/test.Test/Echo", "", 0), 3);
  EXPECT_EQ(code(nullptr, "/test.Test/Echo", nullptr, 1), 3);
  EXPECT_EQ(code(nullptr, "/test.Test/Echo", "", std::size_t{1} << 31), 8);
  EXPECT_EQ(code(nullptr, "/test.Test/Echo", nullptr, 0), 0);
  EXPECT_EQ(server.calls(), 1);
  pd_close(client);
}

TEST(Arguments, MetadataThatIsNotAllowedLeavesTheOptionsUnchanged) {
  pd_options* options = pd_options_new();
  const auto add = [&](const char* name, std::string_view value) {
    return pd_options_add_metadata(options, name, value.data(), value.size());
  };
  for (const char* name : {"", "X-Upper", "with space", ":path", "grpc-timeout", "plugind-plugin",
                           "te", "content-type", "connection", "host", "user-agent", "a\n"}) {
    EXPECT_EQ(add(name, "v"), 3) << name;
  }
  EXPECT_EQ(add("x", "tab\t"), 3);
  EXPECT_EQ(add("x", "\xc3\xa4"), 3);
  EXPECT_EQ(pd_options_add_metadata(options, nullptr, "", 0), 3);
  EXPECT_EQ(pd_options_add_metadata(options, "x", nullptr, 1), 3);
  EXPECT_EQ(add("x", std::string(100'000, 'v')), 8);
  EXPECT_EQ(add("x-bin", std::string(40'000, 'v')), 8);
  EXPECT_EQ(add("x", ""), 0);
  EXPECT_EQ(add("authorization", "secret"), 0);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(add("y", std::string(10'000, 'v')), 0);
  EXPECT_EQ(add("y", std::string(10'000, 'v')), 8);

  TestServer server;
  pd_client* client = pd_connect(server.address().c_str(), 0, nullptr);
  pd_reply* reply = pd_invoke(client, nullptr, "/test.Test/Metadata", nullptr, 0, options, nullptr);
  ASSERT_NE(reply, nullptr);
  const std::string headers(static_cast<const char*>(pd_reply_data(reply)), pd_reply_size(reply));
  EXPECT_TRUE(contains(headers, "\nx: \nauthorization: secret\ny: vvv")) << headers.substr(0, 300);
  EXPECT_FALSE(contains(headers, "x-bin"));
  pd_reply_free(reply);
  pd_close(client);
  pd_options_free(options);
}

TEST(Fork, TheChildMayCloseButNotCallAndTheParentGoesOn) {
  TestServer server;
  pd_client* client = pd_connect(server.address().c_str(), 0, nullptr);
  ASSERT_NE(client, nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    pd_error* error = nullptr;
    pd_reply* reply = pd_invoke(client, nullptr, "/test.Test/Echo", "x", 1, nullptr, &error);
    const bool good = reply == nullptr && pd_error_code(error) == 9 &&
                      std::string(pd_error_reason(error)) == "CLIENT_FORKED";
    pd_close(client);
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  pd_reply* reply = pd_invoke(client, nullptr, "/test.Test/Echo", "x", 1, nullptr, nullptr);
  EXPECT_NE(reply, nullptr);
  pd_reply_free(reply);
  EXPECT_EQ(server.connections(), 1);
  pd_close(client);
}

}  // namespace
}  // namespace plugind::test
