// Two sessions wired back to back: what one is given, the other gets, whatever the order and the
// pieces.  At the end both owners finish what is open; then nothing may be left over.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proto/wire/session.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/sent_frames.h"

namespace {

using namespace plugind;
using fuzz::Input;
using wire::Role;
using wire::StreamId;

enum Mode : std::uint8_t {
  kTightServer = 1,
  kTightClient = 2,
  kServerConsumes = 4,
  kClientConsumes = 8,
  kServerAnswers = 16,
};

constexpr std::size_t kMaxStreams = 40;
constexpr std::uint64_t kMaxBody = 200'000;

wire::Limits limits_of(bool tight) {
  wire::Limits limits;
  if (!tight) return limits;
  limits.stream_window = 1'000;
  limits.connection_window = 65'535;
  limits.connection_unconsumed = 80'000;
  limits.max_concurrent_streams = 3;
  limits.max_header_block = 1'000;
  limits.output_high_water = 2'000;
  return limits;
}

struct Field {
  std::string name, value;
  bool never_index = false;
  bool operator==(const Field&) const = default;
};
using Fields = std::vector<Field>;

std::size_t size_of(const Fields& fields) {
  std::size_t size = 0;
  for (const Field& field : fields) size += field.name.size() + field.value.size() + 32;
  return size;
}

void add_to(wire::HeaderList& list, const Fields& fields) {
  for (const Field& field : fields) REQUIRE(list.add(field.name, field.value, field.never_index));
}

// Fields that are valid, by bytes that may be anything.
void add_metadata(Fields& fields, Input& input) {
  for (std::size_t left = input.byte() % 12; left > 0; --left) {
    const std::uint8_t kind = input.byte();
    Field field{"x-", "", (kind & 1) != 0};
    if ((kind & 2) != 0) {
      field.name = "authorization";
      field.never_index = true;  // Whoever adds it.
    } else {
      field.name += static_cast<char>('a' + kind % 26);
    }
    for (const char c : input.bytes((kind >> 2) & 31)) {
      const auto byte = static_cast<unsigned char>(c);
      field.value += byte < 0x20 || byte == 0x7f ? 'z' : c;
    }
    fields.push_back(std::move(field));
  }
}

struct Stream {
  StreamId id = 0;
  bool open = true;
  std::uint32_t error = 0;
  // Sent.
  wire::Body body;
  std::uint64_t appended = 0;
  bool answered = false;
  Fields trailers_sent;
  bool has_trailers = false;
  wire::HeaderList trailers;
  // Received.
  std::uint64_t received = 0;
  std::size_t owed = 0;
  bool ended = false;
  bool too_large = false;
  std::size_t blocks = 0;  // Requests, responses and trailers.
};

// What was agreed about a stream; both ends look at it.
struct Agreed {
  Fields request, response;
  bool reset = false;  // By its owner, on either side.
  bool cut = false;    // The server ended before it had all of the request.
};
using Agreements = std::map<StreamId, Agreed>;

class End final : public wire::SessionHandler {
 public:
  End(Role role, const wire::Limits& limits, bool consumes, bool answers, Agreements& agreed)
      : role_(role),
        limits_(limits),
        consumes_(consumes),
        answers_(answers),
        agreed_(agreed),
        sent_(role),
        session(role, limits, *this) {
    REQUIRE(session.is_valid());
  }

  void open(Input& input) {
    if (streams.size() >= kMaxStreams) return;
    Agreed agreed;
    agreed.request = {
        {":method", "POST"}, {":scheme", "http"}, {":path", "/a/b"}, {":authority", "localhost"}};
    const bool has_body = (input.byte() & 1) != 0;
    add_metadata(agreed.request, input);
    wire::HeaderList headers;
    add_to(headers, agreed.request);
    auto stream = std::make_unique<Stream>();
    stream->answered = true;
    stream->body.finished = !has_body;
    stream->id = session.submit_request(headers, has_body ? &stream->body : nullptr, stream.get());
    if (stream->id < 0) {
      REQUIRE(goaways > 0);
      return;
    }
    agreed_[stream->id] = std::move(agreed);
    streams[stream->id] = std::move(stream);
  }

  void answer(Stream& stream, bool has_body, Fields metadata) {
    if (stream.answered || !stream.open || stream.blocks == 0) return;
    Agreed& agreed = agreed_.at(stream.id);
    agreed.response = {{":status", "200"}};
    std::ranges::move(metadata, std::back_inserter(agreed.response));
    wire::HeaderList headers;
    add_to(headers, agreed.response);
    stream.answered = true;
    if (!has_body) {
      stream.body.finished = true;
      agreed.cut = agreed.cut || !stream.ended;
    }
    REQUIRE(session.submit_response(stream.id, headers, has_body ? &stream.body : nullptr));
  }

  void append(Stream& stream, std::size_t size) {
    if (!stream.open || !stream.answered || stream.body.finished) return;
    if (stream.appended + size > kMaxBody) return;
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) {
      bytes += static_cast<char>(fuzz::body_byte(stream.id, stream.appended++));
    }
    REQUIRE(stream.body.bytes.append(bytes.data(), size));
    session.resume(stream.id, stream.body);
  }

  void finish(Stream& stream, bool with_trailers, Fields trailers) {
    if (!stream.open || !stream.answered || stream.body.finished) return;
    if (role_ == Role::kServer && !stream.ended) agreed_.at(stream.id).cut = true;
    if (!with_trailers) return session.finish(stream.id, stream.body);
    stream.has_trailers = true;
    stream.trailers_sent = std::move(trailers);
    stream.trailers_sent.push_back({"grpc-status", "0"});
    add_to(stream.trailers, stream.trailers_sent);
    session.finish_with_trailers(stream.id, stream.body, stream.trailers);
  }

  void reset(Stream& stream) {
    if (!stream.open) return;
    agreed_.at(stream.id).reset = true;
    session.reset(stream.id, wire::kCancel);
  }

  void consume(Stream& stream, std::size_t most) {
    const std::size_t given = std::min(most, stream.owed);
    stream.owed -= given;
    session.consume(stream.id, given);
  }

  /// Moves at most `most` bytes to the other end, in pieces.  False when there were none.
  bool transfer(End& to, std::size_t most, std::size_t piece) {
    REQUIRE(session.pull());
    wire::Output& output = session.output();
    REQUIRE(output.size() < limits_.output_high_water + (64 << 10) + 9);
    const std::size_t size = std::min(most, output.size());
    if (size == 0) return false;
    std::string bytes(size, '\0');
    output.copy_out(bytes.data(), size);
    output.pop(size);
    sent_.feed(bytes);
    for (std::size_t at = 0; at < size; at += piece) {
      const std::size_t length = std::min(piece, size - at);
      const bool fed =
          to.session.feed(reinterpret_cast<const std::uint8_t*>(bytes.data()) + at, length);
      if (!fed) std::fprintf(stderr, "broken: %s\n", to.session.error());
      REQUIRE(fed);
    }
    return true;
  }

  Stream* pick(std::uint8_t index) {
    if (streams.empty()) return nullptr;
    auto at = streams.begin();
    std::advance(at, index % streams.size());
    return at->second.get();
  }

  std::map<StreamId, std::unique_ptr<Stream>> streams;  // Closed ones included.
  int goaways = 0;

 private:
  static Stream& of(void* user) {
    REQUIRE(user != nullptr);
    REQUIRE(static_cast<Stream*>(user)->open);
    return *static_cast<Stream*>(user);
  }

  void* on_stream_opened(StreamId id) override {
    REQUIRE(role_ == Role::kServer && !streams.contains(id) && agreed_.contains(id));
    auto stream = std::make_unique<Stream>();
    stream->id = id;
    return (streams[id] = std::move(stream)).get();
  }

  void on_headers(StreamId id, void* user, Block block, wire::HeaderList& headers,
                  bool end) override {
    Stream& stream = of(user);
    REQUIRE(stream.id == id && !stream.ended);
    stream.ended = end;
    const Agreed& agreed = agreed_.at(id);
    Fields fields;
    for (std::size_t i = 0; i < headers.count(); ++i) {
      fields.push_back(
          {std::string(headers[i].name), std::string(headers[i].value), headers[i].never_index});
    }
    REQUIRE(size_of(fields) <= limits_.max_header_block);
    if (block == Block::kInformational) {
      REQUIRE(stream.blocks == 0 && headers.get(":status") == "103");
      return;
    }
    ++stream.blocks;
    if (block == Block::kRequest) {
      REQUIRE(stream.blocks == 1 && role_ == Role::kServer && fields == agreed.request);
      if (answers_) answer(stream, true, {});
    } else if (block == Block::kResponse) {
      REQUIRE(stream.blocks == 1 && role_ == Role::kClient && fields == agreed.response);
    } else {
      REQUIRE(stream.blocks == 2 && end);
      REQUIRE(fields == other->streams.at(id)->trailers_sent);
    }
  }

  void on_data(StreamId id, void* user, const std::uint8_t* data, std::size_t size) override {
    Stream& stream = of(user);
    REQUIRE(stream.id == id && !stream.ended && size > 0);
    for (std::size_t i = 0; i < size; ++i) {
      REQUIRE(data[i] == fuzz::body_byte(id, stream.received));
      ++stream.received;
    }
    if (consumes_) {
      session.consume(id, size);
    } else {
      stream.owed += size;
    }
  }
  void on_end_of_data(StreamId, void* user) override {
    REQUIRE(!of(user).ended);
    of(user).ended = true;
  }
  void on_body_sent(StreamId, void* user, std::size_t) override { of(user); }
  void on_headers_too_large(StreamId id, void* user, Block block) override {
    Stream& stream = of(user);
    const Agreed& agreed = agreed_.at(id);
    REQUIRE(size_of(block == Block::kRequest ? agreed.request
                    : block == Block::kResponse
                        ? agreed.response
                        : other->streams.at(id)->trailers_sent) > limits_.max_header_block);
    stream.too_large = true;
    reset(stream);
  }
  void on_stream_closed(StreamId id, void* user, std::uint32_t error) override {
    Stream& stream = of(user);
    REQUIRE(stream.id == id);
    stream.open = false;
    stream.error = error;
  }
  void on_goaway(StreamId, std::uint32_t) override { ++goaways; }
  void on_settings() override {}

  const Role role_;
  const wire::Limits limits_;
  const bool consumes_, answers_;
  Agreements& agreed_;
  fuzz::SentFrames sent_;

 public:
  End* other = nullptr;
  wire::Session session;  // Last: it ends before the bodies.
};

class Pair {
 public:
  explicit Pair(std::uint8_t mode)
      : client_(Role::kClient, limits_of((mode & kTightClient) != 0), (mode & kClientConsumes) != 0,
                false, agreed_),
        server_(Role::kServer, limits_of((mode & kTightServer) != 0), (mode & kServerConsumes) != 0,
                (mode & kServerAnswers) != 0, agreed_) {
    client_.other = &server_;
    server_.other = &client_;
  }

  void operate(Input& input) {
    const std::uint8_t operation = input.byte();
    End& end = (operation & 128) != 0 ? server_ : client_;
    End& other = (operation & 128) != 0 ? client_ : server_;
    Stream* stream = end.pick(input.byte());
    switch ((operation & 127) % 10) {
      case 0:
        client_.open(input);
        break;
      case 1:
        if ((stream = server_.pick(input.byte())) != nullptr) {
          const bool has_body = (input.byte() & 1) != 0;
          server_.answer(*stream, has_body, metadata(input));
        }
        break;
      case 2:
        if (stream != nullptr) end.append(*stream, input.byte() * 257u);
        break;
      case 3:
        if (stream != nullptr) {
          const bool with_trailers = (input.byte() & 1) != 0;
          end.finish(*stream, with_trailers, with_trailers ? metadata(input) : Fields{});
        }
        break;
      case 4:
        if (stream != nullptr) end.reset(*stream);
        break;
      case 5:
        if (stream != nullptr) end.consume(*stream, input.byte() * 64u);
        break;
      case 6: {
        const std::size_t most = input.byte() * 16u;
        end.transfer(other, most, 1u + input.byte());
        break;
      }
      case 7:
        end.transfer(other, SIZE_MAX, 1u + input.byte() * 64u);
        break;
      case 8:
        if (Stream* asked = server_.pick(input.byte());
            asked != nullptr && asked->open && !asked->answered && asked->blocks > 0) {
          wire::HeaderList headers;
          headers.add(":status", "103");
          server_.session.submit_informational(asked->id, headers);
        }
        break;
      case 9:
        if (input.byte() % 4 != 0) {
          server_.session.submit_goaway_notice();
        } else {
          server_.session.submit_goaway();
        }
        break;
    }
  }

  void settle() {
    exchange();
    // The requests first, so that a server that ends its answers cuts nothing off.
    for (bool again = true; again;) {
      for (const auto& [id, stream] : client_.streams) client_.finish(*stream, id % 4 == 1, {});
      exchange();
      for (const auto& [id, stream] : server_.streams) {
        server_.answer(*stream, true, {});
        server_.finish(*stream, true, {});
      }
      again = exchange();  // Requests that had waited for a place may have come.
    }
    for (const auto& [id, stream] : client_.streams) check(*stream, agreed_.at(id));
    for (const auto& [id, stream] : server_.streams) REQUIRE(!stream->open);
    REQUIRE(client_.session.open_streams() == 0);
    for (const End* end : {&client_, &server_}) {
      if (end->session.error()[0] != '\0') std::fprintf(stderr, "%s\n", end->session.error());
      REQUIRE(end->session.error()[0] == '\0');
    }
  }

 private:
  static Fields metadata(Input& input) {
    Fields fields;
    add_metadata(fields, input);
    return fields;
  }

  /// Until neither has anything to say.  False if that was so at the beginning.
  bool exchange() {
    bool any = false;
    while (true) {
      for (End* end : {&client_, &server_}) {
        for (const auto& [id, stream] : end->streams) end->consume(*stream, SIZE_MAX);
      }
      const bool there = client_.transfer(server_, SIZE_MAX, SIZE_MAX / 2);
      const bool back = server_.transfer(client_, SIZE_MAX, SIZE_MAX / 2);
      if (!there && !back) return any;
      any = true;
    }
  }

  void check(const Stream& client, const Agreed& agreed) {
    REQUIRE(!client.open);
    const auto found = server_.streams.find(client.id);
    if (found == server_.streams.end()) {
      REQUIRE(client.error == wire::kRefusedStream || agreed.reset);
      return;
    }
    const Stream& server = *found->second;
    REQUIRE(client.received <= server.appended && server.received <= client.appended);
    if (agreed.reset) return;
    REQUIRE(client.error == wire::kNoError && server.error == wire::kNoError);
    REQUIRE(client.ended && client.received == server.appended);
    REQUIRE(client.blocks == (server.has_trailers ? 2u : 1u));
    if (agreed.cut) return;
    REQUIRE(server.ended && server.received == client.appended);
    REQUIRE(server.blocks == (client.has_trailers ? 2u : 1u));
  }

  Agreements agreed_;
  End client_, server_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  Pair pair(input.byte());
  while (!input.empty()) pair.operate(input);
  pair.settle();
  return 0;
}
