#include "tests/bench/grpcpp_streams.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

namespace plugind::bench {
namespace {

using echo::v1::Echo;
using echo::v1::EchoMessage;
using echo::v1::StreamRequest;

void check_end(const grpc::Status& status, std::size_t received, std::size_t expected) {
  if (!status.ok()) fail("a stream ended with: " + status.error_message());
  if (received != expected) {
    fail("a stream had " + std::to_string(received) + " messages instead of " +
         std::to_string(expected));
  }
}

class ServerStream final : public grpc::ClientReadReactor<EchoMessage> {
 public:
  ServerStream(Echo::Stub& stub, const EchoMessage& message, std::size_t count, Countdown& running)
      : size_(message.payload().size()), count_(count), running_(running) {
    request_.set_payload(message.payload());
    request_.set_repeat(static_cast<std::uint32_t>(count));
    stub.async()->ServerStream(&context_, &request_, this);
  }

  void start() {
    StartRead(&reply_);
    StartCall();
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (reply_.payload().size() != size_) fail("echo did not echo");
    ++received_;
    StartRead(&reply_);
  }
  void OnDone(const grpc::Status& status) override {
    check_end(status, received_, count_);
    running_.one_less();
  }

  grpc::ClientContext context_;
  StreamRequest request_;
  EchoMessage reply_;
  std::size_t size_;
  std::size_t count_;
  std::size_t received_ = 0;
  Countdown& running_;
};

class BidiStream final : public grpc::ClientBidiReactor<EchoMessage, EchoMessage> {
 public:
  BidiStream(Echo::Stub& stub, const EchoMessage& message, std::size_t count, Countdown& running)
      : message_(message), count_(count), left_(count), running_(running) {
    stub.async()->BidiStream(&context_, this);
  }

  void start() {
    StartRead(&reply_);
    write();
    StartCall();
  }

 private:
  void write() {
    if (left_ == 0) return StartWritesDone();
    --left_;
    StartWrite(&message_);
  }
  void OnWriteDone(bool ok) override {
    if (ok) write();  // else OnDone says why
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (reply_.payload().size() != message_.payload().size()) fail("echo did not echo");
    ++received_;
    StartRead(&reply_);
  }
  void OnDone(const grpc::Status& status) override {
    check_end(status, received_, count_);
    running_.one_less();
  }

  grpc::ClientContext context_;
  const EchoMessage& message_;
  EchoMessage reply_;
  std::size_t count_;
  std::size_t left_;
  std::size_t received_ = 0;
  Countdown& running_;
};

template <class Stream>
Measurement run(Echo::Stub& stub, const EchoMessage& message, const Load& load) {
  Countdown running(load.in_flight);
  std::vector<std::unique_ptr<Stream>> streams;
  for (std::size_t i = 0; i < load.in_flight; ++i) {
    const std::size_t share = share_of(load.count, load.in_flight, i);
    streams.push_back(std::make_unique<Stream>(stub, message, share, running));
  }
  const auto before = Clock::now();
  for (auto& stream : streams) stream->start();
  running.wait();
  Measurement measurement;
  measurement.elapsed = Clock::now() - before;
  return measurement;
}

constexpr std::size_t kUnreadSize = 1 << 20;

}  // namespace

class UnreadStreams::Stream final : public grpc::ClientReadReactor<EchoMessage> {
 public:
  Stream(Echo::Stub& stub, Countdown& answered, Countdown& running)
      : answered_(answered), running_(running) {
    request_.set_payload(std::string(kUnreadSize, 'x'));
    request_.set_repeat(1'000);
    stub.async()->ServerStream(&context_, &request_, this);
    // One is read, by which the plugin is known to be sending.
    StartRead(&reply_);
    StartCall();
  }
  void cancel() { context_.TryCancel(); }

 private:
  void OnReadDone(bool ok) override {
    if (ok) answered_.one_less();
  }
  void OnDone(const grpc::Status& status) override {
    if (status.error_code() != grpc::StatusCode::CANCELLED) {
      fail("a stream that nobody reads ended with: " + status.error_message());
    }
    running_.one_less();
  }

  grpc::ClientContext context_;
  StreamRequest request_;
  EchoMessage reply_;
  Countdown& answered_;
  Countdown& running_;
};

UnreadStreams::UnreadStreams(const std::shared_ptr<grpc::Channel>& channel, std::size_t count)
    : stub_(channel), running_(count) {
  Countdown answered(count);
  for (std::size_t i = 0; i < count; ++i) {
    streams_.push_back(std::make_unique<Stream>(stub_, answered, running_));
  }
  answered.wait();
}

UnreadStreams::~UnreadStreams() {
  for (const auto& stream : streams_) stream->cancel();
  running_.wait();
}

Measurement run_streams(Echo::Stub& stub, const EchoMessage& message, const Load& load) {
  return load.kind == "bidi" ? run<BidiStream>(stub, message, load)
                             : run<ServerStream>(stub, message, load);
}

}  // namespace plugind::bench
