// A Session that is told nonsense, by its peer and by its owner.
//
// The first byte of an input is the mode, the second says what the owner does inside of events.
// Then follow operations: a byte from 128 up is the length of bytes that the peer sends, any other
// is something that the owner does, or a frame of the peer's that is made for it.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proto/wire/session.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/sent_frames.h"

namespace plugind::fuzz {

class WildSession final : private wire::SessionHandler {
 public:
  enum Mode : std::uint8_t { kPreface = 2, kTight = 4, kHoldsPings = 8 };
  enum Hook : std::uint8_t {
    kAnswers = 1,
    kConsumes = 2,
    kFinishes = 4,
    kOpens = 8,
    kAppends = 16,
    kResets = 32,
    kSaysGoaway = 64,
    kResumes = 128,
  };

  static void run(wire::Role role, Input input) {
    const std::uint8_t mode = input.byte();
    WildSession session(role, limits_of(mode), input.byte());
    if ((mode & kPreface) != 0 && role == wire::Role::kServer) {
      session.feed("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    }
    while (!input.empty() && session.healthy_) session.step(input);
    session.settle();
  }

 private:
  using StreamId = wire::StreamId;
  struct Stream {
    StreamId id = 0;
    bool is_answered = false;
    std::uint64_t appended = 0;
    wire::Body body;
  };

  static constexpr std::size_t kMaxStreams = 64;
  static constexpr std::uint64_t kMaxBody = 200'000;
  static constexpr std::size_t kLargestFrame = (64 << 10) + 9;

  static wire::Limits limits_of(std::uint8_t mode) {
    wire::Limits limits;
    limits.holds_pings = (mode & kHoldsPings) != 0;
    if ((mode & kTight) == 0) return limits;
    limits.stream_window = 1'000;
    limits.connection_window = 65'535;  // It cannot be made smaller.
    limits.connection_unconsumed = 80'000;
    limits.max_concurrent_streams = 3;
    limits.max_header_block = 300;
    limits.output_high_water = 2'000;
    return limits;
  }

  WildSession(wire::Role role, const wire::Limits& limits, std::uint8_t hooks)
      : role_(role), limits_(limits), hooks_(hooks), sent_(role), session_(role, limits, *this) {
    REQUIRE(session_.is_valid());
    response_.add(":status", "200");
    request_.add(":method", "POST");
    request_.add(":scheme", "http");
    request_.add(":path", "/a/b");
    request_.add(":authority", "localhost");
    informational_.add(":status", "103");
    trailers_.add("grpc-status", "0");
  }

  // -- what happens from outside ----------------------------------------------------------------

  void step(Input& input) {
    const std::uint8_t operation = input.byte();
    if (operation >= 128) {
      feed(input.bytes((operation - 128u) * 4u + 1));
    } else {
      operate(operation, input);
    }
    check();
  }

  void check() {
    if (role_ == wire::Role::kClient) REQUIRE(session_.open_streams() == streams_.size());
    if (!limits_.holds_pings) REQUIRE(!session_.has_pings());
    if (!healthy_) REQUIRE(session_.error()[0] != '\0' || terminated_);
    (void)session_.is_finished();
    (void)session_.wants_write();
    (void)session_.peer_max_concurrent_streams();
  }

  void feed(std::string_view bytes) {
    // Of its exact size, so that the address sanitizer sees a read behind it.
    const auto copy = std::make_unique<std::uint8_t[]>(bytes.size());
    bytes.copy(reinterpret_cast<char*>(copy.get()), bytes.size());
    if (!session_.feed(copy.get(), bytes.size())) broken();
  }

  void broken() {
    healthy_ = false;
    REQUIRE(session_.error()[0] != '\0');
  }

  void frame(std::uint8_t type, std::uint8_t flags, std::uint8_t stream, std::string_view payload) {
    std::string bytes{static_cast<char>(payload.size() >> 16),
                      static_cast<char>(payload.size() >> 8),
                      static_cast<char>(payload.size()),
                      static_cast<char>(type),
                      static_cast<char>(flags),
                      0,
                      0,
                      0,
                      static_cast<char>(stream)};
    feed(bytes.append(payload));
  }

  // Header fields without indexing (RFC 7541 section 6.2.2).
  static std::string block(std::uint8_t kind) {
    const auto field = [](std::string_view name, std::string_view value) {
      std::string text{0, static_cast<char>(name.size())};
      text.append(name).append(1, static_cast<char>(value.size())).append(value);
      return text;
    };
    switch (kind % 6) {
      case 0:
        return field(":method", "POST") + field(":scheme", "http") + field(":path", "/a/b") +
               field("te", "trailers");
      case 1:
        return field(":status", "200") + field("content-type", "application/grpc");
      case 2:
        return field(":status", "103");
      case 3:
        return field("grpc-status", "0");
      case 4:
        return field(":method", "POST") + field("x", std::string(120, 'x')) +
               field("y", std::string(120, 'y'));
      default:
        return field("Connection", "close");
    }
  }

  // True when nothing is left to be sent.
  bool drain(std::size_t most) {
    if (!session_.pull()) {
      broken();
      return true;
    }
    wire::Output& output = session_.output();
    REQUIRE(output.size() < limits_.output_high_water + kLargestFrame);
    wire::Slice slices[8];
    std::size_t offered = 0;
    const std::size_t count = output.peek(slices, 8);
    for (std::size_t i = 0; i < count; ++i) offered += slices[i].size;
    REQUIRE(offered <= output.size() && (offered > 0 || output.empty()));
    const std::size_t size = most < output.size() ? most : output.size();
    std::string bytes(size, '\0');
    output.copy_out(bytes.data(), size);
    sent_.feed(bytes);
    output.pop(size);
    return size == 0;
  }

  void operate(std::uint8_t operation, Input& input) {
    Stream* stream = pick(input.byte());
    switch (operation % 18) {
      case 0:
        open(input.byte() & 1);
        break;
      case 1:
        if (stream != nullptr) answer(*stream, input.byte() & 1);
        break;
      case 2:
        if (stream != nullptr) append(*stream, input.byte() * 257u);
        break;
      case 3:
        if (stream != nullptr && !stream->body.finished) session_.finish(stream->id, stream->body);
        break;
      case 4:
        if (stream != nullptr) finish_with_trailers(*stream);
        break;
      case 5:
        if (stream != nullptr) session_.reset(stream->id, input.byte());
        break;
      case 6:
        consume(input.byte(), input.byte() * 64u);
        break;
      case 7:
        if (stream != nullptr && !stream->is_answered) {
          session_.submit_informational(stream->id, informational_);
        }
        break;
      case 8:
        session_.submit_goaway_notice();
        break;
      case 9:
        session_.submit_goaway();
        break;
      case 10:
        drain(input.byte() * 256u);
        break;
      case 11:
        if (input.byte() == 7) {
          session_.terminate(wire::kInternalError);
          terminated_ = true;
        }
        break;
      case 12:
        session_.answer_pings();
        REQUIRE(!session_.has_pings());
        break;
      case 13: {
        const std::uint8_t type = input.byte(), flags = input.byte(), id = input.byte();
        frame(type, flags, id, input.bytes(input.byte()));
        break;
      }
      case 14: {
        const std::uint8_t flags = input.byte() & 1, id = input.byte();
        frame(1, 4 | flags, id, block(input.byte()));
        break;
      }
      case 15: {
        const std::uint8_t flags = input.byte() & 1, id = input.byte();
        frame(0, flags, id, std::string(input.byte() * 64u, 'd'));
        break;
      }
      case 16:
        if (stream != nullptr) session_.resume(stream->id, stream->body);
        break;
      case 17: {  // Wide windows, so that much can be sent.
        frame(8, 0, 0, std::string_view("\0\x01\0\0", 4));
        if (stream != nullptr) {
          frame(8, 0, static_cast<std::uint8_t>(stream->id), std::string_view("\0\x01\0\0", 4));
        }
        break;
      }
    }
  }

  // The owner gives up everything: whatever came before, no stream and no byte is left over.
  void settle() {
    while (!owed_.empty()) consume(0, SIZE_MAX);
    hooks_ = 0;
    while (!drain(SIZE_MAX)) {
    }
    check();
    REQUIRE(sent_.body_size() == body_sent_);
    // After a GOAWAY and the last stream nothing more is sent.
    if (!healthy_ || terminated_ || session_.error()[0] != '\0' || session_.is_finished()) return;
    REQUIRE(sent_.is_between_frames());
    // nghttp2 tells the peer as soon as half of the window is consumed.
    REQUIRE(received_ < sent_.window_given(0) + limits_.connection_window / 2);
    for (const auto& stream : streams_) session_.reset(stream->id, wire::kCancel);
    while (!drain(SIZE_MAX)) {
    }
    check();
    // Requests that the peer lets wait are closed when their turn comes.
    if (healthy_ && settings_ > 0 && session_.peer_max_concurrent_streams() >= kMaxStreams) {
      REQUIRE(streams_.empty());
    }
  }

  // -- what the owner does ----------------------------------------------------------------------

  Stream* pick(std::uint8_t index) {
    if (streams_.empty()) return nullptr;
    return streams_[index % streams_.size()].get();
  }

  void open(bool has_body) {
    if (role_ != wire::Role::kClient || streams_.size() >= kMaxStreams) return;
    auto stream = std::make_unique<Stream>();
    stream->is_answered = true;
    stream->id =
        session_.submit_request(request_, has_body ? &stream->body : nullptr, stream.get());
    if (stream->id > 0) streams_.push_back(std::move(stream));
  }

  void answer(Stream& stream, bool has_body) {
    if (stream.is_answered) return;
    stream.is_answered =
        session_.submit_response(stream.id, response_, has_body ? &stream.body : nullptr);
  }

  void append(Stream& stream, std::size_t size) {
    if (stream.body.finished || stream.appended + size > kMaxBody) return;
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) {
      bytes += static_cast<char>(body_byte(stream.id, stream.appended++));
    }
    REQUIRE(stream.body.bytes.append(bytes.data(), size));
    session_.resume(stream.id, stream.body);
  }

  void finish_with_trailers(Stream& stream) {
    if (stream.body.finished) return;
    session_.finish_with_trailers(stream.id, stream.body, trailers_);
  }

  void consume(std::uint8_t index, std::size_t most) {
    if (owed_.empty()) return;
    auto at = owed_.begin();
    std::advance(at, index % owed_.size());
    const auto [id, owed] = *at;
    const std::size_t given = most < owed ? most : owed;
    if ((at->second -= given) == 0) owed_.erase(at);
    owed_in_all_ -= given;
    session_.consume(id, given);
  }

  // -- events -----------------------------------------------------------------------------------

  Stream& known(void* user) {
    for (const auto& stream : streams_) {
      if (stream.get() == user) return *stream;
    }
    REQUIRE(!"an event of a stream that is not open");
    std::abort();
  }
  bool hook(Hook which) const { return (hooks_ & which) != 0; }

  void* on_stream_opened(StreamId id) override {
    REQUIRE(role_ == wire::Role::kServer && id > last_opened_ && id % 2 == 1);
    last_opened_ = id;
    auto stream = std::make_unique<Stream>();
    stream->id = id;
    void* user = stream.get();
    streams_.push_back(std::move(stream));
    REQUIRE(streams_.size() <= limits_.max_concurrent_streams);
    return user;
  }
  void on_headers(StreamId id, void* user, Block kind, wire::HeaderList& headers, bool) override {
    Stream& stream = known(user);
    REQUIRE(stream.id == id || stream.id == 0);
    std::size_t size = 0;
    for (std::size_t i = 0; i < headers.count(); ++i) {
      size += headers[i].name.size() + headers[i].value.size() + 32;
    }
    REQUIRE(size <= limits_.max_header_block);
    if (role_ == wire::Role::kServer) {
      REQUIRE(kind == Block::kRequest || kind == Block::kTrailers);
      if (hook(kAnswers) && kind == Block::kRequest) answer(stream, true);
    } else {
      REQUIRE(kind != Block::kRequest);
      REQUIRE((kind == Block::kTrailers) == headers.get(":status").empty());
    }
    if (hook(kResets)) session_.reset(id, wire::kCancel);
  }
  void on_data(StreamId id, void* user, const std::uint8_t* data, std::size_t size) override {
    REQUIRE(known(user).id == id);
    REQUIRE(size > 0 && (data[0] | data[size - 1]) >= 0);
    received_ += size;
    owed_[id] += size;
    owed_in_all_ += size;
    // Until the peer has seen the SETTINGS, a stream's window is that of RFC 9113.
    const std::size_t window = std::max(limits_.stream_window, 65'535u);
    // nghttp2 resets a stream whose peer sends more than it may, but passes on what comes of it
    // until then: that is bounded with the others only.
    const bool obeys = (received_of_[id] += size) <= window + sent_.window_given(id);
    REQUIRE(!obeys || owed_[id] <= window);
    REQUIRE(owed_in_all_ <= std::max(limits_.connection_unconsumed, limits_.connection_window));
    if (hook(kConsumes)) {
      session_.consume(id, size);
      owed_in_all_ -= size;
      if ((owed_[id] -= size) == 0) owed_.erase(id);
    }
  }
  void on_end_of_data(StreamId id, void* user) override {
    Stream& stream = known(user);
    REQUIRE(stream.id == id);
    if (hook(kFinishes)) finish_with_trailers(stream);
  }
  void on_body_sent(StreamId, void* user, std::size_t size) override {
    Stream& stream = known(user);
    body_sent_ += size;
    if (hook(kAppends)) append(stream, 700);
    if (hook(kResumes)) session_.resume(stream.id, stream.body);
  }
  void on_headers_too_large(StreamId id, void* user, Block) override {
    Stream& stream = known(user);
    if (hook(kAnswers)) answer(stream, false);
    if (hook(kResets)) session_.reset(id, wire::kCancel);
  }
  void on_stream_closed(StreamId id, void* user, std::uint32_t) override {
    REQUIRE(known(user).id == id);  // So it is told of each stream once.
    std::erase_if(streams_, [&](const auto& stream) { return stream.get() == user; });
    if (hook(kOpens)) open(true);
  }
  void on_goaway(StreamId, std::uint32_t) override {
    if (hook(kResets)) {
      for (const auto& stream : streams_) session_.reset(stream->id, wire::kCancel);
    }
    if (hook(kSaysGoaway)) session_.submit_goaway();
  }
  void on_settings() override { ++settings_; }
  void on_request_headers_sent(StreamId id, void* user) override {
    REQUIRE(role_ == wire::Role::kClient && known(user).id == id);
  }

  const wire::Role role_;
  const wire::Limits limits_;
  std::uint8_t hooks_;
  wire::HeaderList response_, request_, informational_, trailers_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::map<StreamId, std::size_t> owed_;  // Closed streams included.
  std::size_t owed_in_all_ = 0;
  std::uint64_t received_ = 0;
  std::map<StreamId, std::uint64_t> received_of_;
  std::uint64_t body_sent_ = 0;
  StreamId last_opened_ = 0;
  int settings_ = 0;
  bool healthy_ = true;
  bool terminated_ = false;
  SentFrames sent_;
  wire::Session session_;  // Last: it ends before what its bodies are in.
};

}  // namespace plugind::fuzz
