#include "proto/wire/session.h"

#include <nghttp2/nghttp2.h>

#include <cstdlib>
#include <cstring>

namespace plugind::wire {

namespace {

// Field lists up to this length need no heap memory on their way to nghttp2.
constexpr std::size_t kFieldsOnStack = 48;
// An honest gRPC client that cancels sends thousands of resets a second; nghttp2's default, 33/s,
// is meant for the open internet.  What bounds a local peer is max_concurrent_streams.
constexpr std::uint64_t kResetBurst = 1'000'000;
constexpr std::uint64_t kResetsPerSecond = 1'000'000;
// 16 KiB each: enough to receive, and refuse by itself, a header block of several MiB.
constexpr std::size_t kMaxContinuations = 512;

// HPACK must not index secrets: one hop's table is shared by every call on it (RFC 7541 7.1.3).
bool is_secret(std::string_view name) {
  return name == "authorization" || name == "cookie" || name == "proxy-authorization" ||
         name == "set-cookie";
}

bool is_hop_by_hop(std::string_view name) {
  return name == "connection" || name == "transfer-encoding" || name == "upgrade" ||
         name == "keep-alive" || name == "proxy-connection";
}

/// A bit for each pseudo header field of a request, 0 for what is none.
std::uint8_t pseudo_bit(std::string_view name) {
  if (name == ":method") return 1;
  if (name == ":path") return 2;
  if (name == ":scheme") return 4;
  if (name == ":authority") return 8;
  return 0;
}

/// What RFC 9113 section 8 demands of a request's field, but for the characters of :authority: many
/// gRPC clients on Unix sockets send the socket's path there, which nghttp2's own check refuses.
/// `pseudo` has the bits of the pseudo header fields so far.  One that stands twice would be read
/// by one hop here and by the next one there: what is checked must be what is called.
bool is_valid_request_field(std::string_view name, std::string_view value, bool after_regular,
                            std::uint8_t& pseudo) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(value.data());
  if (nghttp2_check_header_value(bytes, value.size()) == 0) return false;
  if (name.starts_with(':')) {
    const std::uint8_t bit = pseudo_bit(name);
    if (after_regular || bit == 0 || (pseudo & bit) != 0) return false;
    pseudo |= bit;
    return true;
  }
  if (is_hop_by_hop(name) || (name == "te" && value != "trailers")) return false;
  return nghttp2_check_header_name(reinterpret_cast<const std::uint8_t*>(name.data()),
                                   name.size()) != 0;
}

/// The fields as nghttp2 wants them.
class NvArray {
 public:
  explicit NvArray(const HeaderList& headers) : size_(headers.count()) {
    if (size_ > kFieldsOnStack) {
      nv_ = static_cast<nghttp2_nv*>(std::malloc(size_ * sizeof(nghttp2_nv)));
      if (nv_ == nullptr) return;
    }
    for (std::size_t i = 0; i < size_; ++i) {
      const HeaderField field = headers[i];
      // nghttp2 reads only, but takes pointers to non-const.
      nv_[i].name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(field.name.data()));
      nv_[i].namelen = field.name.size();
      nv_[i].value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(field.value.data()));
      nv_[i].valuelen = field.value.size();
      nv_[i].flags = field.never_index || is_secret(field.name) ? NGHTTP2_NV_FLAG_NO_INDEX
                                                                : NGHTTP2_NV_FLAG_NONE;
    }
  }
  ~NvArray() {
    if (nv_ != stack_) std::free(nv_);
  }
  NvArray(const NvArray&) = delete;
  NvArray& operator=(const NvArray&) = delete;

  bool is_valid() const { return nv_ != nullptr; }
  const nghttp2_nv* data() const { return nv_; }
  std::size_t size() const { return size_; }

 private:
  nghttp2_nv stack_[kFieldsOnStack];
  nghttp2_nv* nv_ = stack_;
  std::size_t size_;
};

}  // namespace

/// The bridge from nghttp2's C callbacks.  A non-zero return is fatal to the session, so none is
/// returned but for lack of memory, and NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE, which ends a stream.
struct Session::Callbacks {
  static Session& self(void* user_data) { return *static_cast<Session*>(user_data); }

  static void* user_of(Session& s, StreamId stream) {
    return nghttp2_session_get_stream_user_data(s.session_, stream);
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Session& s = self(user_data);
    s.block_.clear();
    s.block_stream_ = frame->hd.stream_id;
    s.block_size_ = 0;
    s.block_too_large_ = false;
    s.block_invalid_ = false;
    s.block_has_regular_ = false;
    s.block_pseudo_ = 0;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      // nghttp2 itself would take streams until the GOAWAY has moved to the output, although it
      // says that they are not processed; a client would then send their calls a second time.
      if (frame->hd.stream_id > s.last_taken_) {
        s.reset(frame->hd.stream_id, kRefusedStream);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;  // Nothing else is heard of the stream.
      }
      void* user = s.handler_.on_stream_opened(frame->hd.stream_id);
      nghttp2_session_set_stream_user_data(s.session_, frame->hd.stream_id, user);
    }
    return 0;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                       std::uint8_t flags, void* user_data) {
    Session& s = self(user_data);
    s.block_size_ += name_size + value_size + 32;
    if (s.block_size_ > s.limits_.max_header_block) {
      s.block_too_large_ = true;
      return 0;
    }
    const std::string_view field(reinterpret_cast<const char*>(name), name_size);
    const std::string_view text(reinterpret_cast<const char*>(value), value_size);
    if (s.role_ == Role::kServer) {
      if (!is_valid_request_field(field, text, s.block_has_regular_, s.block_pseudo_)) {
        s.block_invalid_ = true;
      }
      if (!field.starts_with(':')) s.block_has_regular_ = true;
    }
    const bool added = s.block_.add(field, text, (flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0);
    return added ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static SessionHandler::Block kind_of(const Session& s, const nghttp2_frame* frame) {
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) return SessionHandler::Block::kRequest;
    if (s.role_ == Role::kServer) return SessionHandler::Block::kTrailers;
    // After a 1xx block nghttp2 files the final one under "other headers"; only :status tells it
    // from trailers.
    const std::string_view status = s.block_.get(":status");
    if (status.empty()) return SessionHandler::Block::kTrailers;
    return status.front() == '1' ? SessionHandler::Block::kInformational
                                 : SessionHandler::Block::kResponse;
  }

  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Session& s = self(user_data);
    const StreamId stream = frame->hd.stream_id;
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        void* user = user_of(s, stream);
        const SessionHandler::Block kind = kind_of(s, frame);
        if (s.block_invalid_) {
          s.reset(stream, kProtocolError);
        } else if (s.block_too_large_) {
          s.handler_.on_headers_too_large(stream, user, kind);
        } else {
          s.handler_.on_headers(stream, user, kind, s.block_, end);
        }
        s.block_.clear();
        break;
      }
      case NGHTTP2_DATA:
        if (end) s.handler_.on_end_of_data(stream, user_of(s, stream));
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) s.handler_.on_settings();
        break;
      case NGHTTP2_PING:
        if (s.limits_.holds_pings && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
          if (s.ping_count_ == kMaxPings) s.answer_pings();
          std::memcpy(s.pings_[s.ping_count_++], frame->ping.opaque_data, sizeof s.pings_[0]);
        }
        break;
      case NGHTTP2_GOAWAY:
        s.handler_.on_goaway(frame->goaway.last_stream_id, frame->goaway.error_code);
        break;
      default:
        break;
    }
    return 0;
  }

  // grpc-go's client (seen with 1.70) says goodbye with the number of its own last stream, where
  // RFC 9113 section 6.8 wants one of the server's.  nghttp2 ends the session for it, which was
  // what the client wanted.  A server that does it is in error.
  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user_data) {
    Session& s = self(user_data);
    if (s.role_ == Role::kServer && frame->hd.type == NGHTTP2_GOAWAY &&
        frame->goaway.error_code == NGHTTP2_NO_ERROR) {
      s.client_has_left_ = true;
    }
    return 0;
  }

  static int on_data_chunk(nghttp2_session*, std::uint8_t, StreamId stream,
                           const std::uint8_t* data, std::size_t size, void* user_data) {
    Session& s = self(user_data);
    s.unconsumed_ += size;
    s.withheld_ += size;
    s.give_back();
    s.handler_.on_data(stream, user_of(s, stream), data, size);
    return 0;
  }

  static int on_stream_close(nghttp2_session*, StreamId stream, std::uint32_t error_code,
                             void* user_data) {
    Session& s = self(user_data);
    if (stream > s.last_taken_) return 0;
    void* user = user_of(s, stream);
    nghttp2_session_set_stream_user_data(s.session_, stream, nullptr);
    if (s.role_ == Role::kClient && s.open_streams_ > 0) --s.open_streams_;
    s.handler_.on_stream_closed(stream, user, error_code);
    return 0;
  }

  // The second reset of a request that has not been sent would go out, and a RST_STREAM of a stream
  // that the peer has not heard of ends the connection (RFC 9113 section 6.4).
  static int before_frame_send(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    const Session& s = self(user_data);
    const bool unheard_of = s.role_ == Role::kClient && frame->hd.stream_id > s.last_request_sent_;
    return frame->hd.type == NGHTTP2_RST_STREAM && unheard_of ? NGHTTP2_ERR_CANCEL : 0;
  }

  static int on_frame_send(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Session& s = self(user_data);
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR &&
        !s.client_has_left_) {
      s.error_ = nghttp2_http2_strerror(frame->goaway.error_code);
    }
    if (s.role_ == Role::kClient) {
      if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        s.last_request_sent_ = frame->hd.stream_id;
        s.handler_.on_request_headers_sent(frame->hd.stream_id, user_of(s, frame->hd.stream_id));
      }
      return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    const StreamId stream = frame->hd.stream_id;
    if (nghttp2_session_get_stream_remote_close(s.session_, stream) == 0) {
      nghttp2_submit_rst_stream(s.session_, NGHTTP2_FLAG_NONE, stream, NGHTTP2_NO_ERROR);
    }
    return 0;
  }

  static ssize_t read_length(nghttp2_session*, std::uint8_t, StreamId, std::int32_t session_window,
                             std::int32_t stream_window, std::uint32_t max_frame_size, void*) {
    std::int64_t length = max_frame_size;
    if (length > (64 << 10)) length = 64 << 10;  // No stream holds the connection for longer.
    if (length > session_window) length = session_window;
    if (length > stream_window) length = stream_window;
    return static_cast<ssize_t>(length);
  }

  static ssize_t read_body(nghttp2_session* session, StreamId stream, std::uint8_t*,
                           std::size_t length, std::uint32_t* flags, nghttp2_data_source* source,
                           void*) {
    Body& body = *static_cast<Body*>(source->ptr);
    const std::size_t size = body.bytes.size() < length ? body.bytes.size() : length;
    if (size == 0 && !body.finished) {
      body.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (body.finished && size == body.bytes.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (body.trailers != nullptr) {
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        const NvArray nv(*body.trailers);
        if (!nv.is_valid() || nghttp2_submit_trailer(session, stream, nv.data(), nv.size()) != 0) {
          return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
      }
    }
    return static_cast<ssize_t>(size);
  }

  static int send_data(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* header,
                       std::size_t length, nghttp2_data_source* source, void* user_data) {
    Session& s = self(user_data);
    // nghttp2 would go on from frame to frame as far as the peer's windows allow; this is what
    // keeps the output bounded.  The frame is offered again by the next pull().
    if (s.output_.size() >= s.limits_.output_high_water) return NGHTTP2_ERR_WOULDBLOCK;
    Body& body = *static_cast<Body*>(source->ptr);
    // The owner has dropped bytes that were promised to this frame: the stream is beyond repair.
    if (body.bytes.size() < length) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (!s.output_.append(header, 9) || !body.bytes.move_to(s.output_, length)) {
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (length > 0) {
      const StreamId stream = frame->hd.stream_id;
      s.handler_.on_body_sent(stream, user_of(s, stream), length);
    }
    return 0;
  }
};

Session::Session(Role role, const Limits& limits, SessionHandler& handler)
    : handler_(handler), limits_(limits), role_(role) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_option* option = nullptr;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) return;
  if (nghttp2_option_new(&option) != 0) {
    nghttp2_session_callbacks_del(callbacks);
    return;
  }
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Callbacks::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Callbacks::on_header);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Callbacks::on_frame_recv);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks,
                                                               Callbacks::on_invalid_frame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Callbacks::on_data_chunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Callbacks::on_stream_close);
  nghttp2_session_callbacks_set_before_frame_send_callback(callbacks, Callbacks::before_frame_send);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Callbacks::on_frame_send);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, Callbacks::send_data);
  nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, Callbacks::read_length);

  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_no_auto_ping_ack(option, limits.holds_pings ? 1 : 0);
  nghttp2_option_set_stream_reset_rate_limit(option, kResetBurst, kResetsPerSecond);
  nghttp2_option_set_max_continuations(option, kMaxContinuations);
  nghttp2_option_set_max_send_header_block_length(option, std::size_t{limits.max_header_block} * 2);
  // Metadata passes as it came, spaces at its ends included.
  nghttp2_option_set_no_rfc9113_leading_and_trailing_ws_validation(option, 1);

  // Requests are checked by is_valid_request_field.
  if (role == Role::kServer) nghttp2_option_set_no_http_messaging(option, 1);

  const int rv = role == Role::kClient
                     ? nghttp2_session_client_new2(&session_, callbacks, this, option)
                     : nghttp2_session_server_new2(&session_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  if (rv != 0) {
    session_ = nullptr;
    return;
  }

  nghttp2_settings_entry settings[5];
  std::size_t count = 0;
  settings[count++] = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window};
  settings[count++] = {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, limits.max_frame_size};
  settings[count++] = {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.max_header_block};
  if (role == Role::kServer) {
    settings[count++] = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams};
  } else {
    settings[count++] = {NGHTTP2_SETTINGS_ENABLE_PUSH, 0};
  }
  const bool configured =
      nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, count) == 0 &&
      nghttp2_session_set_local_window_size(
          session_, NGHTTP2_FLAG_NONE, 0, static_cast<std::int32_t>(limits.connection_window)) == 0;
  if (!configured) {
    nghttp2_session_del(session_);
    session_ = nullptr;
  }
}

Session::~Session() { nghttp2_session_del(session_); }

bool Session::feed(const std::uint8_t* data, std::size_t size) {
  const ssize_t taken = nghttp2_session_mem_recv(session_, data, size);
  if (taken >= 0) {
    // Also of what nghttp2 consumed by itself, as padding and what came for a stream after its end.
    if (withheld_ > 0) reopen_window();
    return true;
  }
  error_ = nghttp2_strerror(static_cast<int>(taken));
  return false;
}

bool Session::pull() {
  while (output_.size() < limits_.output_high_water) {
    const std::uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) {
      error_ = nghttp2_strerror(static_cast<int>(size));
      return false;
    }
    if (size == 0) break;
    if (!output_.append(data, static_cast<std::size_t>(size))) {
      error_ = "out of memory";
      return false;
    }
  }
  return true;
}

bool Session::is_finished() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0 &&
         output_.empty();
}

bool Session::wants_write() const {
  return !output_.empty() || nghttp2_session_want_write(session_) != 0;
}

StreamId Session::submit_request(const HeaderList& headers, Body* body, void* user) {
  // nghttp2 itself would take the request and close its stream later.
  if (nghttp2_session_check_request_allowed(session_) == 0) return -1;
  const NvArray nv(headers);
  if (!nv.is_valid()) return -1;
  nghttp2_data_provider provider{};
  provider.source.ptr = body;
  provider.read_callback = Callbacks::read_body;
  const StreamId stream = nghttp2_submit_request(session_, nullptr, nv.data(), nv.size(),
                                                 body != nullptr ? &provider : nullptr, user);
  if (stream < 0) return -1;
  ++open_streams_;
  return stream;
}

bool Session::submit_response(StreamId stream, const HeaderList& headers, Body* body) {
  const NvArray nv(headers);
  if (!nv.is_valid()) return false;
  nghttp2_data_provider provider{};
  provider.source.ptr = body;
  provider.read_callback = Callbacks::read_body;
  return nghttp2_submit_response(session_, stream, nv.data(), nv.size(),
                                 body != nullptr ? &provider : nullptr) == 0;
}

bool Session::submit_informational(StreamId stream, const HeaderList& headers) {
  const NvArray nv(headers);
  return nv.is_valid() && nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream, nullptr,
                                                 nv.data(), nv.size(), nullptr) == 0;
}

void Session::resume(StreamId stream, Body& body) {
  if (!body.deferred) return;
  body.deferred = false;
  nghttp2_session_resume_data(session_, stream);
}

void Session::finish(StreamId stream, Body& body) {
  body.finished = true;
  resume(stream, body);
}

void Session::finish_with_trailers(StreamId stream, Body& body, const HeaderList& trailers) {
  body.trailers = &trailers;
  finish(stream, body);
}

void Session::reset(StreamId stream, std::uint32_t error_code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, error_code);
}

void Session::consume(StreamId stream, std::size_t size) {
  if (size == 0) return;
  unconsumed_ -= size < unconsumed_ ? size : unconsumed_;
  nghttp2_session_consume_stream(session_, stream, size);
  give_back();
}

// To the connection's window bytes are given back as soon as they arrive: each stream has a window
// of its own, and what the connection's is without, no other stream can use either.  Only over the
// bound do they have to be consumed first.
void Session::give_back() {
  const std::size_t bound = limits_.connection_unconsumed;
  const std::size_t window = limits_.connection_window;
  const std::size_t beyond = bound > window ? bound - window : 0;
  const std::size_t withheld = unconsumed_ > beyond ? unconsumed_ - beyond : 0;
  if (withheld_ <= withheld) return;
  nghttp2_session_consume_connection(session_, withheld_ - withheld);
  withheld_ = withheld;
  if (withheld_ > 0) reopen_window();
}

// nghttp2 tells the peer of consumed bytes when they are half of the window.  While more than the
// other half is withheld, so many can never come: all streams would stand still as soon as what is
// left of the window has been used once.  So it is half of what is left.
void Session::reopen_window() {
  const std::int32_t window = nghttp2_session_get_effective_local_window_size(session_);
  const auto withheld = static_cast<std::int32_t>(withheld_);
  const std::int32_t consumed =
      nghttp2_session_get_effective_recv_data_length(session_) - withheld;  // And not told.
  if (consumed <= 0 || consumed < (window - withheld) / 2) return;
  nghttp2_submit_window_update(session_, NGHTTP2_FLAG_NONE, 0, consumed);
}

void Session::answer_pings() {
  for (std::size_t i = 0; i < ping_count_; ++i) {
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_ACK, pings_[i]);
  }
  ping_count_ = 0;
}

void Session::submit_goaway_notice() {
  // After the second half the first one would take back what that said: an error (RFC 9113 6.8).
  if (last_taken_ == INT32_MAX) nghttp2_submit_shutdown_notice(session_);
}

void Session::submit_goaway() {
  StreamId last = nghttp2_session_get_last_proc_stream_id(session_);
  if (role_ == Role::kServer) {
    if (last > last_taken_) last = last_taken_;
    last_taken_ = last;
  }
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, nullptr, 0);
}

void Session::terminate(std::uint32_t error_code) {
  nghttp2_session_terminate_session(session_, error_code);
}

std::uint32_t Session::peer_max_concurrent_streams() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

}  // namespace plugind::wire
