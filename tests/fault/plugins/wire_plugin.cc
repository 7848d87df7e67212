// A native plugin that writes its HTTP/2 by hand: an Echo/Unary that is right, until the metadata
// `x-fault` of a call, or an option, tells it what to do wrong.  Its trailers say what became of
// the call, and of all calls.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

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

// --goodbyes=: so many connections, the first ones, say GOAWAY under load.  Each answers some
// calls, holds the next ones, and with so many in its hands accepts a few of them and disowns the
// others.
// What it has accepted it answers when the next connection is there.
int goodbyes = 0;
std::atomic<int> connections{0};
constexpr std::size_t kAnswersBefore = 20, kHeld = 8, kAccepted = 4;

/// What became of every request, by its bytes.
class Book {
 public:
  struct Entry {
    int first = 0;     // The first connection that it came on.
    int seen = 0;      // How often it came as a whole.
    int disowned = 0;  // How often that was over the last stream of a GOAWAY.
  };
  /// It may have come on a later connection already: this one was busy.
  void saw(const std::string& request, int connection, bool disowned) {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[request];
    entry.first = entry.seen == 0 ? connection : std::min(entry.first, connection);
    ++entry.seen;
    if (disowned) ++entry.disowned;
  }
  void disown(const std::string& request) {
    const std::lock_guard lock(mutex_);
    ++entries_[request].disowned;
  }
  void said_goodbye() {
    const std::lock_guard lock(mutex_);
    ++goodbyes_;
  }
  /// Counts it as executed, by this connection.
  Headers execute(const std::string& request, int connection) {
    const std::lock_guard lock(mutex_);
    const Entry& entry = entries_[request];
    return {{"x-connection", std::to_string(connection)},
            {"x-first", std::to_string(entry.first)},
            {"x-seen", std::to_string(entry.seen)},
            {"x-disowned", std::to_string(entry.disowned)},
            {"x-executed", std::to_string(++executed_)},
            {"x-goodbyes", std::to_string(goodbyes_)}};
  }

 private:
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  int executed_ = 0;  // All of them.
  int goodbyes_ = 0;  // That have been said.
};
Book book;

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
  Conversation(int socket, int number) : socket_(socket), number_(number) {}
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
    const std::string whole = std::move(request->second);
    requests_.erase(request);
    on_request(frame_in.stream, whole);
  }

  void on_request(std::uint32_t stream, const std::string& request) {
    const bool disowned = last_stream_ != 0 && stream > last_stream_;
    book.saw(request, number_, disowned);
    if (disowned) return;
    if (last_stream_ != 0) {
      answer(stream, request);
    } else if (number_ > goodbyes || answers_ < kAnswersBefore) {
      answer(stream, request);
    } else {
      held_[stream] = request;
      if (held_.size() == kHeld) say_goodbye();
    }
  }

  void answer(std::uint32_t stream, const std::string& request) {
    Headers trailers = book.execute(request, number_);
    trailers.insert(trailers.begin(), {"grpc-status", "0"});
    send(frame(FrameType::kHeaders, kEndHeaders, stream,
               header_block({{":status", "200"}, {"content-type", "application/grpc"}})) +
         frame(FrameType::kData, 0, stream, request) +
         frame(FrameType::kHeaders, kEndHeaders | kEndStream, stream, header_block(trailers)));
    ++answers_;
  }

  void say_goodbye() {
    last_stream_ = std::next(held_.begin(), kAccepted - 1)->first;
    const auto first_disowned = held_.upper_bound(last_stream_);
    for (auto it = first_disowned; it != held_.end(); ++it) book.disown(it->second);
    held_.erase(first_disowned, held_.end());
    book.said_goodbye();
    send(frame(FrameType::kGoaway, 0, 0, number32(last_stream_) + number32(0)));
    connections.wait(number_);
    for (const auto& [stream, request] : std::exchange(held_, {})) answer(stream, request);
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
  const int number_;  // From 1, in the order of the connections.
  std::string received_;
  HeaderDecoder decoder_;
  std::map<std::uint32_t, std::string> requests_;  // That are still coming.
  std::map<std::uint32_t, std::string> held_;
  std::size_t answers_ = 0;
  std::uint32_t last_stream_ = 0;  // Of the GOAWAY; 0 before it.
};

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (option.starts_with("--greeting=")) greeting = option.substr(option.find('=') + 1);
    if (option == "--health=silent") health_is_silent = true;
    if (option.starts_with("--goodbyes="))
      goodbyes = std::stoi(option.substr(option.find('=') + 1));
  }
  for (int number = 1;; ++number) {
    const int socket = ::accept4(kListener, nullptr, nullptr, SOCK_CLOEXEC);
    // It lives on without a way to reach it.
    if (socket == -1) {
      while (true) ::pause();
    }
    connections = number;
    connections.notify_all();
    std::thread([socket, number] { Conversation(socket, number).run(); }).detach();
  }
}
