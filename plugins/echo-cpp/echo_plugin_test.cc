// Runs the real executable, without plugind.  $ECHO_CPP says where it is.
#include <fcntl.h>
#include <grpc/grpc.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "plugins/proto/echo.grpc.pb.h"

namespace {

using echo::v1::Echo;
using echo::v1::EchoMessage;
using echo::v1::StreamRequest;
using echo::v1::Summary;

/// One run of the plugin: ended and reaped by the destructor.
class EchoProcess {
 public:
  /// `plugind_listen` and `option` may be empty; `listener` becomes descriptor 3 unless it is -1.
  EchoProcess(const std::string& plugind_listen, const std::string& option, int listener = -1) {
    int output[2];
    if (pipe(output) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      dup2(output[1], STDOUT_FILENO);
      close(output[0]);
      close(output[1]);
      if (listener >= 0) {
        fcntl(listener, F_SETFD, 0);  // for the case that it is 3 already
        dup2(listener, 3);
        setenv("LISTEN_FDS", "1", 1);
        setenv("LISTEN_PID", std::to_string(getpid()).c_str(), 1);
      }
      if (!plugind_listen.empty()) setenv("PLUGIND_LISTEN", plugind_listen.c_str(), 1);
      const char* program = std::getenv("ECHO_CPP");
      if (option.empty()) execl(program, program, nullptr);
      execl(program, program, "--listen", option.c_str(), nullptr);
      _exit(127);
    }
    close(output[1]);
    output_ = fdopen(output[0], "r");
  }
  ~EchoProcess() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    std::fclose(output_);
  }
  EchoProcess(const EchoProcess&) = delete;
  EchoProcess& operator=(const EchoProcess&) = delete;

  /// The next line of its output without the line end; "" when it has ended.
  std::string line() {
    char text[512];
    if (std::fgets(text, sizeof text, output_) == nullptr) return "";
    return std::string{text, std::strcspn(text, "\n")};
  }
  void signal(int number) { kill(pid_, number); }
  /// Its wait status, as of waitpid.
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_;
  FILE* output_;
};

class EchoPluginTest : public testing::Test {
 protected:
  // Keeps gRPC up until the test program ends: its shutdown after each last object may wait 10 s
  // for a poller that covered a large write.
  static void SetUpTestSuite() { grpc_init(); }
  void SetUp() override {
    ASSERT_NE(std::getenv("ECHO_CPP"), nullptr) << "set ECHO_CPP to the path of echo-cpp";
    std::string pattern = testing::TempDir() + "echo-cpp-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string socket_path() const { return directory_ / "echo.sock"; }
  static std::unique_ptr<Echo::Stub> connect(const std::string& target) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    return Echo::NewStub(
        grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments));
  }
  static void bound(grpc::ClientContext& context) {
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  }
  static void expect_echo(Echo::Stub& stub, const std::string& payload) {
    grpc::ClientContext context;
    bound(context);
    EchoMessage request;
    request.set_payload(payload);
    EchoMessage reply;
    const grpc::Status status = stub.Unary(&context, request, &reply);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(reply.payload() == payload);
  }

  std::filesystem::path directory_;
};

TEST_F(EchoPluginTest, AnswersEveryKindOfCallOnTheAddressPlugindGives) {
  EchoProcess plugin{"unix:" + socket_path(), ""};
  ASSERT_EQ(plugin.line(), "listening on unix:" + socket_path());
  const auto stub = connect("unix:" + socket_path());
  expect_echo(*stub, "");
  expect_echo(*stub, "hello");
  expect_echo(*stub, std::string(16 << 20, 'x'));

  {
    grpc::ClientContext context;
    bound(context);
    StreamRequest request;
    request.set_payload("again");
    request.set_repeat(1'000);
    const auto reader = stub->ServerStream(&context, request);
    EchoMessage message;
    int count = 0;
    while (reader->Read(&message)) {
      EXPECT_EQ(message.payload(), "again");
      ++count;
    }
    EXPECT_EQ(count, 1'000);
    EXPECT_TRUE(reader->Finish().ok());
  }
  {
    grpc::ClientContext context;
    bound(context);
    Summary summary;
    const auto writer = stub->ClientStream(&context, &summary);
    EchoMessage message;
    message.set_payload("four");
    for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(writer->Write(message));
    writer->WritesDone();
    EXPECT_TRUE(writer->Finish().ok());
    EXPECT_EQ(summary.messages(), 1'000u);
    EXPECT_EQ(summary.bytes(), 4'000u);
  }
  {
    grpc::ClientContext context;
    bound(context);
    const auto stream = stub->BidiStream(&context);
    for (int i = 0; i < 100; ++i) {
      EchoMessage message;
      message.set_payload(std::to_string(i));
      ASSERT_TRUE(stream->Write(message));
      EchoMessage reply;
      ASSERT_TRUE(stream->Read(&reply));
      EXPECT_EQ(reply.payload(), message.payload());
    }
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
  }
}

TEST_F(EchoPluginTest, TakesASocketThatListensAlready) {
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 16), 0);
  EchoProcess plugin{"unix:/nowhere/else.sock", "", listener};
  close(listener);
  auto first = connect("unix:" + socket_path());
  auto second = connect("unix:" + socket_path());
  expect_echo(*first, "hello");
  expect_echo(*second, std::string(1 << 20, 'y'));
  first.reset();
  second.reset();
  const auto asked = std::chrono::steady_clock::now();
  plugin.signal(SIGTERM);
  const int status = plugin.wait();
  EXPECT_LT(std::chrono::steady_clock::now() - asked, std::chrono::seconds(5))
      << "a large answer just before must not delay the end";
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(EchoPluginTest, ListensOnTcpAndEndsCleanlyWhenAsked) {
  EchoProcess plugin{"", "tcp:127.0.0.1:0"};
  const std::string line = plugin.line();
  ASSERT_TRUE(line.starts_with("listening on tcp:127.0.0.1:")) << line;
  auto stub = connect(line.substr(line.find("127.")));
  expect_echo(*stub, "hello");
  stub.reset();  // a client that still holds its connection is waited for
  plugin.signal(SIGTERM);
  const int status = plugin.wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

/// One message there, one message back, as bytes, and the caller's end of the call.
std::string call(const std::string& target, const std::string& method, const std::string& request) {
  grpc::GenericStub stub{grpc::CreateChannel(target, grpc::InsecureChannelCredentials())};
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  grpc::CompletionQueue queue;
  const auto done = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto stream = stub.PrepareCall(&context, method, &queue);
  stream->StartCall(nullptr);
  const grpc::Slice slice{request};
  grpc::ByteBuffer reply;
  if (done()) stream->WriteLast(grpc::ByteBuffer{&slice, 1}, {}, nullptr);
  if (done()) stream->Read(&reply, nullptr);
  std::string bytes;
  grpc::Slice whole;
  if (done() && reply.DumpToSingleSlice(&whole).ok()) {
    bytes.assign(reinterpret_cast<const char*>(whole.begin()), whole.size());
  }
  grpc::Status status;
  stream->Finish(&status, nullptr);
  done();
  EXPECT_TRUE(status.ok()) << method << ": " << status.error_message();
  return bytes;
}

TEST_F(EchoPluginTest, AnswersHealthAndReflection) {
  EchoProcess plugin{"unix:" + socket_path(), ""};
  ASSERT_EQ(plugin.line(), "listening on unix:" + socket_path());
  const std::string target = "unix:" + socket_path();
  const std::string serving = "\x08\x01";
  EXPECT_EQ(call(target, "/grpc.health.v1.Health/Check", ""), serving);
  EXPECT_EQ(call(target, "/grpc.health.v1.Health/Check",
                 "\x0a\x0c"
                 "echo.v1.Echo"),
            serving);
  const std::string list_services{"\x3a\x00", 2};
  EXPECT_NE(
      call(target, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", list_services)
          .find("echo.v1.Echo"),
      std::string::npos);
}

TEST_F(EchoPluginTest, SaysWhenItCannotListen) {
  EchoProcess nowhere{"unix:" + socket_path() + "/no/such/directory", ""};
  EXPECT_EQ(WEXITSTATUS(nowhere.wait()), 1);
  EchoProcess nonsense{"http://localhost", ""};
  EXPECT_EQ(WEXITSTATUS(nonsense.wait()), 1);
}

}  // namespace
