// One call: what is still to be sent of its request, and what has arrived of its reply.
#pragma once

#include <cstddef>
#include <cstdint>

#include "client-lib/src/error.h"
#include "client-lib/src/list.h"
#include "client-lib/src/wait_queue.h"
#include "proto/wire/framing.h"
#include "proto/wire/session.h"

/// One allocation: the struct, then `capacity` bytes.
struct pd_reply {
  std::size_t size;
  std::size_t capacity;
};

namespace plugind::client {

class Call {
 public:
  /// Is told, once, that a call has ended by itself: not of abandon().
  class Listener {
   public:
    virtual void on_call_ended() = 0;

   protected:
    ~Listener() = default;
  };

  /// The largest message either way.
  static constexpr std::size_t kMaxMessage = 0x7fffffff;

  /// `request` stays the caller's; abandon() ends the need for it, and for `listener`, which may be
  /// null.
  Call(const void* request, std::size_t request_size, Listener* listener);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// Puts the request's next bytes into body(), as many as shall wait there.  False when memory is
  /// short.
  bool fill_body();
  wire::Body& body() { return body_; }
  /// The request has left body() whole, or will not be sent any more.
  bool is_request_sent() const { return request_left_ == 0 && body_.bytes.empty(); }

  // -- what the session reports; each ends the call when it can -------------------------------
  void on_headers(wire::SessionHandler::Block block, const wire::HeaderList& headers,
                  bool end_stream);
  void on_data(const std::uint8_t* data, std::size_t size);
  void on_end_of_data();
  void on_stream_closed(std::uint32_t error_code);

  /// Ends the call with `error`; does nothing but free it when the call has ended.
  void fail(pd_error* error);
  /// Ends the call: the daemon has not seen it and another connection may carry it.
  void refuse();
  /// Nobody waits any more: forgets the request's memory.
  void abandon();

  bool is_done() const { return waiter.is_done; }
  bool is_refused() const { return is_refused_; }
  /// The outcome, once.  There may be (a part of) a reply although there is an error.
  pd_error* take_error();
  pd_reply* take_reply();

  Waiter waiter{Waiter::Purpose::kCall};
  Link<Call> link;
  wire::StreamId stream = 0;
  /// How many bytes the connection had queued before this call's first one.
  std::uint64_t position = 0;
  unsigned references = 1;
  bool is_reset = false;          ///< By this side.
  bool is_request_begun = false;  ///< Its header block has moved to the connection's output.

 private:
  void end();
  void on_status(const wire::HeaderList& headers);
  bool is_grpc(const wire::HeaderList& headers);
  bool begin_reply(std::size_t size);
  bool append(const std::uint8_t* data, std::size_t size);

  Listener* listener_;
  const std::uint8_t* request_;
  std::size_t request_left_;
  bool has_prefix_ = false;
  wire::Body body_;
  wire::MessageScanner scanner_;
  pd_reply* reply_ = nullptr;
  pd_error* error_ = nullptr;
  std::size_t reply_left_ = 0;
  bool has_reply_ = false;
  bool is_refused_ = false;
};

}  // namespace plugind::client
