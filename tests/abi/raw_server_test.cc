// libplugind against a peer played byte for byte.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "client-lib/include/plugind/plugind.h"

namespace plugind::test {
namespace {

using namespace std::string_literals;

// SETTINGS, empty.
const std::string kGreeting = "\0\0\0\4\0\0\0\0\0"s;
// HEADERS of stream 1, END_STREAM: ":status: 200" and "grpc-status: 3" without indexing.
const std::string kAnswer = "\0\0\x10\1\5\0\0\0\1"s + "\x88"s +
                            "\0\xbgrpc-status\1"
                            "3"s;

class RawServer {
 public:
  RawServer() {
    EXPECT_NE(::mkdtemp(directory_), nullptr);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::snprintf(name.sun_path, sizeof(name.sun_path), "%s/raw.sock", directory_);
    path_ = name.sun_path;
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
  }
  ~RawServer() {
    ::close(listener_);
    ::unlink(path_.c_str());
    ::rmdir(directory_);
  }
  const char* path() const { return path_.c_str(); }

  /// The peer's end of a connection that `path()` was asked for, or will be.
  int accept() {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_GE(fd, 0);
    return fd;
  }
  /// Reads up to the first HEADERS frame.
  static void wait_for_call(int fd) {
    std::string bytes;
    const auto read_to = [&](std::size_t size) {
      while (bytes.size() < size) {
        char piece[4096];
        const ssize_t count = ::recv(fd, piece, sizeof(piece), 0);
        ASSERT_GT(count, 0);
        bytes.append(piece, static_cast<std::size_t>(count));
      }
    };
    std::size_t at = 24;  // After the preface.
    while (!testing::Test::HasFatalFailure()) {
      read_to(at + 9);
      const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[at + i]); };
      if (byte(3) == 1) return;
      at += 9u + (byte(0) << 16 | byte(1) << 8 | byte(2));
    }
  }
  static void send(int fd, const std::string& bytes) {
    EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

 private:
  char directory_[32] = "/tmp/plugind-abi-XXXXXX";
  std::string path_;
  int listener_ = -1;
};

int code_of_call(pd_client* client) {
  pd_options* options = pd_options_new();
  pd_options_set_timeout_ms(options, 60'000);
  pd_error* error = nullptr;
  pd_reply_free(pd_invoke(client, nullptr, "/a.B/C", nullptr, 0, options, &error));
  const int code = error != nullptr ? pd_error_code(error) : 0;
  pd_error_free(error);
  pd_options_free(options);
  return code;
}

TEST(RawServer, WhatItSaidBeforeItWentAwayIsHeard) {
  RawServer server;
  int fd = -1;
  std::thread greeter([&] { RawServer::send(fd = server.accept(), kGreeting); });
  pd_client* client = pd_connect(server.path(), 0, nullptr);
  greeter.join();
  ASSERT_NE(client, nullptr);
  // The answer to the call is there, and the connection closed, before the call is sent.
  RawServer::send(fd, kAnswer);
  ::close(fd);
  EXPECT_EQ(code_of_call(client), 3);
  pd_close(client);
}

TEST(RawServer, ThatTakesNothingAndSaysNothingIsGivenUpAtOnce) {
  RawServer server;
  std::atomic<int> first = -1;
  std::atomic<int> second = -1;
  std::thread greeter([&] {
    RawServer::send(first = server.accept(), kGreeting);
    RawServer::send(second = server.accept(), kGreeting);
    RawServer::wait_for_call(second);
    RawServer::send(second, kAnswer);
  });
  pd_client* client = pd_connect(server.path(), 0, nullptr);
  ASSERT_NE(client, nullptr);
  ::shutdown(first, SHUT_RD);
  EXPECT_EQ(code_of_call(client), 3);  // By the second connection.
  greeter.join();
  ::close(first);
  ::close(second);
  pd_close(client);
}

}  // namespace
}  // namespace plugind::test
