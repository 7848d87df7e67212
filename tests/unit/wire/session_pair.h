// Two sessions that talk in memory, and what each of them saw.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/wire/session.h"

namespace plugind::wire::test {

/// One end.  Events of a stream are kept as a readable trace, for example
/// "headers(:status=200) data(5) trailers(grpc-status=0,end) closed(0)".
class End final : public SessionHandler {
 public:
  explicit End(Role role, const Limits& limits = {}) : session(role, limits, *this) {
    EXPECT_TRUE(session.is_valid());
  }

  struct Stream {
    std::string trace;
    std::string data;
    std::size_t sent = 0;
    Body body;
    HeaderList trailers;
    bool is_closed = false;
  };

  StreamId request(const std::vector<std::pair<std::string, std::string>>& extra = {},
                   bool has_body = true) {
    HeaderList headers;
    headers.add(":method", "POST");
    headers.add(":scheme", "http");
    headers.add(":path", "/a.B/C");
    headers.add(":authority", "localhost");
    for (const auto& [name, value] : extra) headers.add(name, value);
    // The record must be at its place before the id is known.
    auto stream = std::make_unique<Stream>();
    const StreamId id =
        session.submit_request(headers, has_body ? &stream->body : nullptr, stream.get());
    if (id > 0) streams_[id] = std::move(stream);
    return id;
  }

  bool respond(StreamId id, bool has_body = true) {
    HeaderList headers;
    headers.add(":status", "200");
    return session.submit_response(id, headers, has_body ? &record(id).body : nullptr);
  }
  void send(StreamId id, std::string_view bytes) {
    record(id).body.bytes.append(bytes.data(), bytes.size());
    session.resume(id, record(id).body);
  }
  void finish(StreamId id) { session.finish(id, record(id).body); }
  void finish_with_status(StreamId id, std::string_view status) {
    record(id).trailers.add("grpc-status", status);
    session.finish_with_trailers(id, record(id).body, record(id).trailers);
  }

  Stream& record(StreamId id) { return *streams_.at(id); }
  const std::string& trace(StreamId id) { return record(id).trace; }
  const std::string& data(StreamId id) { return record(id).data; }

  bool consumes = true;  ///< Give bytes back at once.
  std::string connection_trace;
  std::vector<StreamId> opened;
  Session session;

 private:
  static void add(std::string& trace, const std::string& event) {
    if (!trace.empty()) trace += ' ';
    trace += event;
  }
  static Stream& of(void* user) { return *static_cast<Stream*>(user); }

  void* on_stream_opened(StreamId id) override {
    opened.push_back(id);
    streams_[id] = std::make_unique<Stream>();
    return streams_[id].get();
  }
  void on_headers(StreamId, void* user, Block block, HeaderList& headers, bool end) override {
    constexpr const char* kNames[] = {"request", "response", "informational", "trailers"};
    std::string fields;
    for (std::size_t i = 0; i < headers.count(); ++i) {
      const HeaderField field = headers[i];
      if (field.name.starts_with(':') && field.name != ":status") continue;
      if (!fields.empty()) fields += ',';
      fields.append(field.name).append(field.never_index ? "!" : "=").append(field.value);
    }
    if (end) fields += fields.empty() ? "end" : ",end";
    add(of(user).trace, std::string(kNames[static_cast<int>(block)]) + "(" + fields + ")");
  }
  void on_data(StreamId id, void* user, const std::uint8_t* bytes, std::size_t size) override {
    if (user != nullptr) of(user).data.append(reinterpret_cast<const char*>(bytes), size);
    if (consumes) session.consume(id, size);
  }
  void on_end_of_data(StreamId, void* user) override { add(of(user).trace, "end"); }
  void on_body_sent(StreamId, void* user, std::size_t size) override { of(user).sent += size; }
  void on_headers_too_large(StreamId, void* user, Block) override {
    add(of(user).trace, "too-large");
  }
  void on_stream_closed(StreamId, void* user, std::uint32_t error) override {
    ASSERT_NE(user, nullptr);
    EXPECT_FALSE(of(user).is_closed);
    of(user).is_closed = true;
    add(of(user).trace, "closed(" + std::to_string(error) + ")");
  }
  void on_goaway(StreamId last, std::uint32_t error) override {
    add(connection_trace, "goaway(" + std::to_string(last) + "," + std::to_string(error) + ")");
  }
  void on_settings() override { add(connection_trace, "settings"); }

  std::map<StreamId, std::unique_ptr<Stream>> streams_;
};

/// Takes everything `from` wants to send.
inline std::string take_output(Session& from) {
  std::string bytes;
  while (from.pull() && !from.output().empty()) {
    const std::size_t size = from.output().size();
    std::string piece(size, '\0');
    from.output().copy_out(piece.data(), size);
    from.output().pop(size);
    bytes += piece;
  }
  return bytes;
}

inline bool give(Session& to, std::string_view bytes) {
  return to.feed(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

struct Pair {
  explicit Pair(const Limits& server_limits = {}, const Limits& client_limits = {})
      : client(Role::kClient, client_limits), server(Role::kServer, server_limits) {}

  /// Until neither has anything to say.
  void exchange() {
    while (true) {
      const std::string there = take_output(client.session);
      EXPECT_TRUE(give(server.session, there)) << server.session.error();
      const std::string back = take_output(server.session);
      EXPECT_TRUE(give(client.session, back)) << client.session.error();
      if (there.empty() && back.empty()) return;
    }
  }

  End client;
  End server;
};

}  // namespace plugind::wire::test
