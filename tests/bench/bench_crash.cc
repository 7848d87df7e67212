// How long the calls of a plugin go on after its sudden death.
//
// usage: bench_crash --address unix:/PATH --streams N
//
// Opens N streams to the echo plugin, waits until each has echoed a message, and prints "ready".  A
// line "kill PID" kills that process; the answer is the milliseconds from then until every stream
// has ended.  A stream that ends with anything else than UNAVAILABLE and the reason PLUGIN_CRASHED
// ends the program with a message on stderr and exit code 1.
#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "plugins/proto/echo.grpc.pb.h"
#include "tests/bench/grpcpp_streams.h"
#include "tests/bench/worker.h"

namespace {

using echo::v1::Echo;
using echo::v1::EchoMessage;
using plugind::bench::argument;
using plugind::bench::Clock;
using plugind::bench::Countdown;
using plugind::bench::fail;

class Stream final : public grpc::ClientBidiReactor<EchoMessage, EchoMessage> {
 public:
  Stream(Echo::Stub& stub, Countdown& opening, Countdown& open) : opening_(opening), open_(open) {
    message_.set_payload("x");
    stub.async()->BidiStream(&context_, this);
    StartRead(&reply_);
    StartWrite(&message_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    opening_.one_less();
    StartRead(&reply_);  // ends with the call
  }
  void OnDone(const grpc::Status& status) override {
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE ||
        status.error_details().find("PLUGIN_CRASHED") == std::string::npos) {
      fail("a stream ended with code " + std::to_string(status.error_code()) + ", \"" +
           status.error_message() + "\", instead of PLUGIN_CRASHED");
    }
    open_.one_less();
  }

  grpc::ClientContext context_;
  EchoMessage message_;
  EchoMessage reply_;
  Countdown& opening_;
  Countdown& open_;
};

}  // namespace

int main(int count, char** values) {
  const auto stub = Echo::NewStub(
      grpc::CreateChannel(argument(count, values, "address"), grpc::InsecureChannelCredentials()));
  const std::size_t streams = std::stoul(argument(count, values, "streams"));
  Countdown opening(streams);
  Countdown open(streams);
  std::vector<std::unique_ptr<Stream>> all;
  for (std::size_t i = 0; i < streams; ++i) {
    all.push_back(std::make_unique<Stream>(*stub, opening, open));
  }
  opening.wait();
  std::cout << "ready" << std::endl;
  std::string command;
  pid_t pid = 0;
  if (!(std::cin >> command >> pid)) return 0;
  if (command != "kill" || pid <= 0) fail("cannot understand the command \"" + command + "\"");
  const auto before = Clock::now();
  if (kill(pid, SIGKILL) != 0) fail(std::string("kill: ") + std::strerror(errno));
  open.wait();
  const std::chrono::duration<double, std::milli> took = Clock::now() - before;
  std::cout << took.count() << std::endl;
  return 0;
}
