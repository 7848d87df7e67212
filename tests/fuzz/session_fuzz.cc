// A Session that is told nonsense, by its peer and by its owner.
//
// The first byte of an input says which role, whether the client's preface is already there, and
// how tight the bounds are.  Then follow operations of one byte each; "feed" takes a length and
// bytes.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <string_view>

#include "proto/wire/session.h"

namespace {

using namespace plugind::wire;

#define REQUIRE(condition) \
  if (!(condition)) std::abort()

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kMaxStreams = 64;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return size_ == 0; }
  std::uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::string_view bytes(std::size_t size) {
    if (size > size_) size = size_;
    const std::string_view result(reinterpret_cast<const char*>(data_), size);
    data_ += size;
    size_ -= size;
    return result;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

class Owner final : private SessionHandler {
 public:
  Owner(Role role, const Limits& limits) : limits_(limits), session_(role, limits, *this) {
    REQUIRE(session_.is_valid());
    headers_.add(":status", "200");
    request_.add(":method", "POST");
    request_.add(":scheme", "http");
    request_.add(":path", "/a/b");
    request_.add(":authority", "localhost");
    trailers_.add("grpc-status", "0");
  }

  bool feed(std::string_view bytes) {
    return session_.feed(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }

  bool drain(std::size_t most) {
    if (!session_.pull()) return false;
    Output& output = session_.output();
    // One frame may go over the bound, and small control frames that nghttp2 had queued.
    REQUIRE(output.size() <= limits_.output_high_water + (64u << 10) + 9);
    Slice slices[8];
    std::size_t offered = 0;
    const std::size_t count = output.peek(slices, 8);
    for (std::size_t i = 0; i < count; ++i) offered += slices[i].size;
    REQUIRE(offered <= output.size());
    output.pop(most < offered ? most : offered);
    return true;
  }

  void operate(std::uint8_t operation, Input& input) {
    Stream* stream = pick(input.byte());
    switch (operation % 12) {
      case 0:
        if (streams_.size() < kMaxStreams) open(input.byte() & 1);
        break;
      case 1:
        if (stream != nullptr && !stream->is_answered) {
          stream->is_answered = session_.submit_response(
              stream->id, headers_, (input.byte() & 1) != 0 ? &stream->body : nullptr);
        }
        break;
      case 2:
        if (stream != nullptr && !stream->body.finished) {
          static constexpr char kBytes[0xff * 257] = {};
          REQUIRE(stream->body.bytes.append(kBytes, input.byte() * 257u));
          session_.resume(stream->id, stream->body);
        }
        break;
      case 3:
        if (stream != nullptr && !stream->body.finished) session_.finish(stream->id, stream->body);
        break;
      case 4:
        if (stream != nullptr && !stream->body.finished) {
          session_.finish_with_trailers(stream->id, stream->body, trailers_);
        }
        break;
      case 5:
        if (stream != nullptr) session_.reset(stream->id, input.byte());
        break;
      case 6:
        if (owed_ > 0) {
          const std::size_t size = input.byte() * 64u;
          const std::size_t given = size < owed_ ? size : owed_;
          owed_ -= given;
          session_.consume(stream != nullptr ? stream->id : last_data_, given);
        }
        break;
      case 7:
        if (stream != nullptr) session_.submit_informational(stream->id, headers_);
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
        if (input.byte() == 7) session_.terminate(kInternalError);
        break;
    }
    (void)session_.is_finished();
    (void)session_.wants_write();
    (void)session_.peer_max_concurrent_streams();
  }

 private:
  struct Stream {
    StreamId id = 0;
    bool is_answered = false;
    Body body;
  };

  Stream* pick(std::uint8_t index) {
    if (streams_.empty()) return nullptr;
    auto at = streams_.begin();
    std::advance(at, index % streams_.size());
    return at->get();
  }

  void open(bool has_body) {
    auto stream = std::make_unique<Stream>();
    stream->is_answered = true;
    stream->id =
        session_.submit_request(request_, has_body ? &stream->body : nullptr, stream.get());
    if (stream->id > 0) streams_.insert(std::move(stream));
  }

  bool is_known(void* user) const {
    for (const auto& stream : streams_) {
      if (stream.get() == user) return true;
    }
    return false;
  }

  void* on_stream_opened(StreamId id) override {
    auto stream = std::make_unique<Stream>();
    stream->id = id;
    void* user = stream.get();
    streams_.insert(std::move(stream));
    return user;
  }
  void on_headers(StreamId, void* user, Block, HeaderList& headers, bool) override {
    REQUIRE(user == nullptr || is_known(user));
    std::size_t size = 0;
    for (std::size_t i = 0; i < headers.count(); ++i) {
      size += headers[i].name.size() + headers[i].value.size() + 32;
    }
    REQUIRE(size <= limits_.max_header_block);
  }
  void on_data(StreamId id, void* user, const std::uint8_t*, std::size_t size) override {
    REQUIRE(user == nullptr || is_known(user));
    owed_ += size;
    last_data_ = id;
    REQUIRE(owed_ <= limits_.connection_window);
  }
  void on_end_of_data(StreamId, void* user) override { REQUIRE(user == nullptr || is_known(user)); }
  void on_body_sent(StreamId, void* user, std::size_t) override { REQUIRE(is_known(user)); }
  void on_headers_too_large(StreamId, void* user, Block) override {
    REQUIRE(user == nullptr || is_known(user));
  }
  void on_stream_closed(StreamId id, void* user, std::uint32_t) override {
    REQUIRE(is_known(user));  // So it is told of each stream once.
    std::erase_if(streams_, [&](const auto& stream) { return stream.get() == user; });
    REQUIRE(id > 0);
  }
  void on_goaway(StreamId, std::uint32_t) override {}
  void on_settings() override { REQUIRE(++settings_ == 1); }

  Limits limits_;
  HeaderList headers_, request_, trailers_;
  std::set<std::unique_ptr<Stream>> streams_;
  std::size_t owed_ = 0;
  StreamId last_data_ = 0;
  int settings_ = 0;
  Session session_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t mode = input.byte();
  Limits limits;
  if ((mode & 4) != 0) {
    limits.stream_window = 1'000;
    limits.connection_window = 100'000;  // It cannot be made smaller than 65,535.
    limits.max_concurrent_streams = 3;
    limits.max_header_block = 300;
    limits.output_high_water = 2'000;
  }
  Owner owner((mode & 1) != 0 ? Role::kServer : Role::kClient, limits);
  if ((mode & 2) != 0 && (mode & 1) != 0) owner.feed(kPreface);
  while (!input.empty()) {
    const std::uint8_t operation = input.byte();
    if (operation < 128) {
      owner.operate(operation, input);
    } else if (!owner.feed(input.bytes((operation - 128u) * 4u + 1))) {
      break;
    }
  }
  owner.drain(SIZE_MAX);
  return 0;
}
