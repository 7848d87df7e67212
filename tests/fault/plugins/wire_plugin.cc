// A native plugin that writes its HTTP/2 by hand: an Echo/Unary that is right, until the metadata
// `x-fault` of a call, or an option, tells it what to do wrong.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include "tests/support/raw_http2.h"

namespace {

using namespace plugind::testing;

constexpr int kListener = 3;  // As systemd hands it over.
constexpr std::size_t kPrefaceSize = 24;
constexpr std::size_t kFrameHeader = 9;
// No flood is longer: it has an end, and the test fails, if the daemon takes all of it.
constexpr std::size_t kFlood = 64 << 20;

std::string greeting;  // --greeting=
bool health_is_silent = false;
std::atomic<bool> is_silent{false};  // From now on.

std::string number32(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift);
  return bytes;
}

/// The same bytes at every run.
std::string garbage(std::size_t size) {
  std::string bytes;
  std::uint32_t state = 1;
  while (bytes.size() < size) {
    state = state * 1'664'525 + 1'013'904'223;
    bytes += static_cast<char>(state >> 24);
  }
  return bytes;
}

class Conversation {
 public:
  explicit Conversation(int socket) : socket_(socket) {}
  ~Conversation() { ::close(socket_); }
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;

  void run() {
    if (!greet()) return;
    while (const auto next = read_frame()) on_frame(*next);
  }

 private:
  /// False: the conversation is over.
  bool greet() {
    if (greeting == "close") return false;
    if (!fill(kPrefaceSize)) return false;
    received_.erase(0, kPrefaceSize);
    if (greeting == "garbage") return send(garbage(64 << 10)) && wait_end();
    if (greeting == "http1") return send("HTTP/1.1 400 Bad Request\r\n\r\n") && wait_end();
    if (greeting == "half-settings") return send(std::string("\0\0\6\4", 4)) && wait_end();
    if (greeting == "silent" || is_silent) return wait_end();
    return send(frame(FrameType::kSettings, 0, 0, ""));
  }

  /// Reads on and answers nothing.
  bool wait_end() {
    while (fill(received_.size() + 1)) {
    }
    return false;
  }

  void on_frame(const Frame& frame_in) {
    const bool ack = (frame_in.flags & kAck) != 0;
    switch (frame_in.type) {
      case FrameType::kSettings:
        if (!ack) send(frame(FrameType::kSettings, kAck, 0, ""));
        return;
      case FrameType::kPing:
        if (!ack) send(frame(FrameType::kPing, kAck, 0, frame_in.payload));
        return;
      case FrameType::kHeaders:
        return on_headers(frame_in);
      case FrameType::kData:
        return on_data(frame_in);
      default:
        return;
    }
  }

  void on_headers(const Frame& frame_in) {
    const Headers headers = decoder_.decode(frame_in.payload);
    if (value_of(headers, ":path") == "/grpc.health.v1.Health/Check") {
      if (!health_is_silent) refuse(frame_in.stream);
      return;
    }
    const std::string fault = value_of(headers, "x-fault");
    if (fault.empty()) {
      requests_[frame_in.stream] = "";
    } else {
      play(fault, frame_in.stream);
    }
  }

  void on_data(const Frame& frame_in) {
    if (!frame_in.payload.empty()) {
      const auto size = static_cast<std::uint32_t>(frame_in.payload.size());
      send(frame(FrameType::kWindowUpdate, 0, 0, number32(size)));
    }
    const auto request = requests_.find(frame_in.stream);
    if (request == requests_.end()) return;
    request->second += frame_in.payload;
    if ((frame_in.flags & kEndStream) == 0) return;
    const std::uint32_t stream = frame_in.stream;
    send(frame(FrameType::kHeaders, kEndHeaders, stream,
               header_block({{":status", "200"}, {"content-type", "application/grpc"}})) +
         frame(FrameType::kData, 0, stream, request->second) +
         frame(FrameType::kHeaders, kEndHeaders | kEndStream, stream,
               header_block({{"grpc-status", "0"}})));
    requests_.erase(request);
  }

  /// UNIMPLEMENTED.
  void refuse(std::uint32_t stream) {
    send(frame(
        FrameType::kHeaders, kEndHeaders | kEndStream, stream,
        header_block(
            {{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "12"}})));
  }

  void play(const std::string& fault, std::uint32_t stream) {
    const std::string bad_block = "\xff\xff\xff";
    const std::map<std::string, std::function<void()>> faults{
        {"hold", [] {}},
        {"garbage", [&] { send(garbage(64 << 10)); }},
        {"frame-over-the-limit",
         [&] { send(std::string("\xff\xff\xff\0\0", 5) + number32(stream) + garbage(1 << 20)); }},
        {"data-outside-streams", [&] { send(frame(FrameType::kData, 0, 0, "data")); }},
        {"data-never-opened", [&] { send(frame(FrameType::kData, 0, 0x7ffffff1, "data")); }},
        {"headers-never-opened",
         [&] {
           send(frame(FrameType::kHeaders, kEndHeaders, 2, header_block({{"a", "b"}})));
         }},
        {"header-block-that-is-none",
         [&] { send(frame(FrameType::kHeaders, kEndHeaders, stream, bad_block)); }},
        {"settings-of-no-size", [&] { send(frame(FrameType::kSettings, 0, 0, "12345")); }},
        {"push", [&] { send(frame(FrameType::kPushPromise, kEndHeaders, stream, number32(2))); }},
        {"continuation-of-nothing",
         [&] { send(frame(FrameType::kContinuation, kEndHeaders, stream, "")); }},
        {"window-over-the-limit",
         [&] { send(frame(FrameType::kWindowUpdate, 0, 0, number32(0x7fffffff))); }},
        {"half-a-frame", [&] { send("\1\2\3"), hang_up(); }},
        {"endless-continuation",
         [&] {
           send(frame(FrameType::kHeaders, 0, stream, ""));
           flood(frame(FrameType::kContinuation, 0, stream,
                       header_block({{"x", std::string(16'000, 'x')}})));
         }},
        {"settings-flood", [&] { flood(frame(FrameType::kSettings, 0, 0, "")); }},
        {"reset-flood",
         [&] {
           const std::string reset = frame(FrameType::kReset, 0, stream, number32(2));
           for (int i = 0; i < 100'000 && send(reset); ++i) {
           }
         }},
        {"hang-up", [&] { hang_up(); }},
        {"hang-up-for-good", [&] { ::shutdown(kListener, SHUT_RDWR), hang_up(); }},
        {"hang-up-and-be-silent", [&] { is_silent = true, hang_up(); }},
    };
    const auto found = faults.find(fault);
    if (found == faults.end()) ::_exit(98);
    found->second();
  }

  void flood(const std::string& part) {
    std::string block;
    while (block.size() < 64 << 10) block += part;
    for (std::size_t sent = 0; sent < kFlood && send(block); sent += block.size()) {
    }
  }

  void hang_up() { ::shutdown(socket_, SHUT_RDWR); }

  bool send(const std::string& bytes) {
    for (std::size_t sent = 0; sent < bytes.size();) {
      const ssize_t n = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
      if (n <= 0) return false;
      sent += static_cast<std::size_t>(n);
    }
    return true;
  }

  bool fill(std::size_t size) {
    char buffer[1 << 16];
    while (received_.size() < size) {
      const ssize_t n = ::recv(socket_, buffer, sizeof buffer, 0);
      if (n <= 0) return false;
      received_.append(buffer, static_cast<std::size_t>(n));
    }
    return true;
  }

  std::uint32_t number_at(std::size_t at, std::size_t size) const {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value = value << 8 | static_cast<std::uint8_t>(received_[at + i]);
    }
    return value;
  }

  std::optional<Frame> read_frame() {
    if (!fill(kFrameHeader)) return std::nullopt;
    const std::size_t size = number_at(0, 3);
    if (!fill(kFrameHeader + size)) return std::nullopt;
    Frame result{static_cast<FrameType>(received_[3]), static_cast<std::uint8_t>(received_[4]),
                 number_at(5, 4), received_.substr(kFrameHeader, size)};
    received_.erase(0, kFrameHeader + size);
    return result;
  }

  const int socket_;
  std::string received_;
  HeaderDecoder decoder_;
  std::map<std::uint32_t, std::string> requests_;
};

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option.starts_with("--greeting=")) greeting = option.substr(option.find('=') + 1);
    if (option == "--health=silent") health_is_silent = true;
  }
  while (true) {
    const int socket = ::accept4(kListener, nullptr, nullptr, SOCK_CLOEXEC);
    // It lives on without a way to reach it.
    if (socket == -1) {
      while (true) ::pause();
    }
    std::thread([socket] { Conversation(socket).run(); }).detach();
  }
}
