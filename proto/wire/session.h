// One end of an HTTP/2 connection that carries gRPC, without I/O: bytes in, events and bytes out.
//
// A Session wraps nghttp2 and fixes the policies that gRPC forwarding needs (RFC 9113, and
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md):
//  - windows are opened by hand: bytes count as consumed when consume() says so, also for a stream
//    that has closed meanwhile, so that a slow reader holds back its own sender and nobody else;
//  - outgoing bodies are pulled from a Body that the caller owns, and are not copied when large;
//  - header blocks, concurrent streams and the output backlog are bounded.
// Code here uses neither exceptions nor RTTI nor containers that throw, because libplugind contains
// it and needs libc alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proto/wire/buffer.h"
#include "proto/wire/header_list.h"

struct nghttp2_session;

namespace plugind::wire {

using StreamId = std::int32_t;

enum class Role { kClient, kServer };

/// HTTP/2 error codes that this code sends itself; any other value may be received.
enum ErrorCode : std::uint32_t {
  kNoError = 0x0,
  kProtocolError = 0x1,
  kInternalError = 0x2,
  kFlowControlError = 0x3,
  kRefusedStream = 0x7,
  kCancel = 0x8,
  kEnhanceYourCalm = 0xb,
};

struct Limits {
  std::uint32_t stream_window = 1u << 20;  ///< Bytes a peer may send per stream unconsumed.
  /// Bytes a peer may send on the whole connection before it hears that they have arrived.
  std::uint32_t connection_window = 16u << 20;
  /// Bytes of all streams of a connection that may be unconsumed, or the connection's window if
  /// that is larger.  Far more than the window, so that streams whose readers have stopped leave
  /// the others all of it; each holds no more than its own window.
  std::uint32_t connection_unconsumed = 256u << 20;
  std::uint32_t max_concurrent_streams = 1024;  ///< Streams the peer may open at a time.
  std::uint32_t max_header_block =
      64u << 10;  ///< Sum of name, value and 32 per field (RFC 9113 6.5.2).
  std::uint32_t max_frame_size = 64u << 10;    ///< Largest DATA frame the peer may send.
  std::size_t output_high_water = 512u << 10;  ///< pull() stops when this much output waits.
  /// Pings are not answered before answer_pings() is called, or too many of them wait.
  bool holds_pings = false;
};

/// The outgoing body of one stream.  Owned by the caller; must live until on_stream_closed, also
/// after a reset(), or until the session is destroyed.
struct Body {
  ByteQueue bytes;
  const HeaderList* trailers = nullptr;  ///< Set by Session::finish_with_trailers.
  bool finished = false;                 ///< No more bytes will come.
  bool deferred = false;                 ///< nghttp2 waits for resume.
};

/// Gets what a session decoded.  Calls happen inside Session::feed and Session::pull; a handler may
/// call every function of the session but feed, pull and the destructor.
class SessionHandler {
 public:
  enum class Block { kRequest, kResponse, kInformational, kTrailers };

  /// Server: a stream opens.  The returned pointer is passed to the other events of the stream.
  virtual void* on_stream_opened(StreamId stream) = 0;
  /// A complete header block.  `headers` is valid during the call and may be moved from.
  virtual void on_headers(StreamId stream, void* user, Block block, HeaderList& headers,
                          bool end_stream) = 0;
  /// Body bytes, valid during the call.  Each byte must be given back by consume() at some time.
  virtual void on_data(StreamId stream, void* user, const std::uint8_t* data, std::size_t size) = 0;
  /// The peer ended its side with a DATA frame.  (on_headers has end_stream of its own.)
  virtual void on_end_of_data(StreamId stream, void* user) = 0;
  /// `size` bytes of the stream's Body have moved to the session's output.
  virtual void on_body_sent(StreamId stream, void* user, std::size_t size) = 0;
  /// Header block over the bound: its fields were dropped.  on_headers is not called for it.  The
  /// stream stays open so that it can be answered.
  virtual void on_headers_too_large(StreamId stream, void* user, Block block) = 0;
  /// The stream is gone; `user` is not passed again.  kNoError after a normal end.
  virtual void on_stream_closed(StreamId stream, void* user, std::uint32_t error_code) = 0;
  /// The peer will not answer streams above `last_stream`; those are closed with kRefusedStream, as
  /// are, at the next pull(), those whose request has not moved to the output yet.
  virtual void on_goaway(StreamId last_stream, std::uint32_t error_code) = 0;
  /// The peer's SETTINGS have arrived: its first ones, or later ones that change something.
  virtual void on_settings() = 0;
  /// Client: the request's header block has moved to the session's output.
  virtual void on_request_headers_sent(StreamId /*stream*/, void* /*user*/) {}

 protected:
  ~SessionHandler() = default;
};

class Session {
 public:
  /// `handler` must outlive the session.  is_valid() says whether memory sufficed.
  Session(Role role, const Limits& limits, SessionHandler& handler);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  bool is_valid() const { return session_ != nullptr; }

  /// Decodes received bytes.  False: the connection is broken beyond repair; send what pull()
  /// still gives (a GOAWAY that says why), then close.  error() has a sentence.
  bool feed(const std::uint8_t* data, std::size_t size);
  /// Moves what wants to be sent to output(), up to output_high_water.  False as for feed.
  bool pull();
  /// What waits to be written to the socket.
  Output& output() { return output_; }
  /// Why this side ended the connection; "" if it did not.
  const char* error() const { return error_; }

  /// Neither side has or can get anything more to do.
  bool is_finished() const;
  bool wants_write() const;

  // -- streams -------------------------------------------------------------------------------
  /// Client: opens a stream.  `body` is null for a request without one (END_STREAM at once).
  /// Returns the stream's id, or -1 when no stream can be opened any more on this connection
  /// (GOAWAY seen, ids used up, out of memory).
  StreamId submit_request(const HeaderList& headers, Body* body, void* user);
  /// Server: answers.  `body` null: END_STREAM with the headers (trailers-only).
  bool submit_response(StreamId stream, const HeaderList& headers, Body* body);
  bool submit_informational(StreamId stream, const HeaderList& headers);
  /// Says that body.bytes has grown.
  void resume(StreamId stream, Body& body);
  /// Ends the body, END_STREAM on its last DATA frame.
  void finish(StreamId stream, Body& body);
  /// Ends the body, then sends `trailers`, which must live as long as the body.
  void finish_with_trailers(StreamId stream, Body& body, const HeaderList& trailers);
  /// RST_STREAM.  What was submitted before and not sent yet is dropped, an end of the stream
  /// included.  A request that waits for a place among the peer's concurrent streams is never sent,
  /// but closed only when its turn comes.  (A server need not reset a stream whose response it has
  /// ended: once the end is on its way, what the client still sends is refused with
  /// RST_STREAM(NO_ERROR) by itself, as RFC 9113 section 8.1 allows.)
  void reset(StreamId stream, std::uint32_t error_code);
  /// Gives `size` received bytes of a stream, open or closed, back to the peer's windows.
  void consume(StreamId stream, std::size_t size);

  // -- connection ----------------------------------------------------------------------------
  /// Limits::holds_pings: pings have come since answer_pings() was last called.
  bool has_pings() const { return ping_count_ > 0; }
  void answer_pings();
  /// First half of a graceful end (RFC 9113 section 6.8): asks the peer to open no new stream.
  void submit_goaway_notice();
  /// Second half: streams that the peer opens from now on are not processed; those open go on.
  void submit_goaway();
  /// Ends the connection after what is pending.
  void terminate(std::uint32_t error_code);
  /// Streams this side opened that are still open.
  std::uint32_t open_streams() const { return open_streams_; }
  std::uint32_t peer_max_concurrent_streams() const;

 private:
  struct Callbacks;
  friend struct Callbacks;
  void give_back();
  void reopen_window();
  nghttp2_session* session_ = nullptr;
  SessionHandler& handler_;
  Limits limits_;
  Output output_;
  // The header block being received; HTTP/2 never interleaves two.
  HeaderList block_;
  StreamId block_stream_ = 0;
  StreamId last_taken_ = INT32_MAX;  // Server: what submit_goaway() promised.
  StreamId last_request_sent_ = 0;   // Client.
  std::size_t block_size_ = 0;
  bool block_too_large_ = false;
  bool block_invalid_ = false;
  bool block_has_regular_ = false;
  std::uint8_t block_pseudo_ = 0;  // Which pseudo header fields it has had, a bit for each.
  bool client_has_left_ = false;
  Role role_;
  std::uint32_t open_streams_ = 0;
  std::size_t unconsumed_ = 0;
  std::size_t withheld_ = 0;  // Of these, what the connection's window is without.
  const char* error_ = "";
  static constexpr std::size_t kMaxPings = 8;  // Held ones; an honest peer has one on its way.
  std::uint8_t pings_[kMaxPings][8];
  std::size_t ping_count_ = 0;
};

}  // namespace plugind::wire
