// A socket and the HTTP/2 session on it: reads when there is something, writes once a turn.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "daemon/forward/flush_queue.h"
#include "proto/wire/session.h"

namespace plugind::forward {

class Transport : public std::enable_shared_from_this<Transport> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  class Owner {
   public:
    /// The connection is gone and the transport closed; called once, never from inside a function
    /// that the owner called.  `why` is a sentence for logs, "" when both sides were done.
    virtual void on_transport_closed(const std::string& why) = 0;
    /// Both sides are done, and all has been sent.  True: the peer is told so, and what it still
    /// sends is read and thrown away until it closes or the owner does.  False: closes at once.
    virtual bool on_transport_finished() { return false; }

   protected:
    ~Owner() = default;
  };

  /// `socket` is connected.  `handler` and `owner` must live until detach().
  Transport(FlushQueue& queue, Socket socket, wire::Role role, const wire::Limits& limits,
            wire::SessionHandler& handler, Owner& owner);

  void start();
  /// Forgets handler and owner, and closes the socket at once.
  void detach();
  /// Sends what is pending (bounded by one socket buffer), then closes.  No event follows.
  void close();
  bool closed() const { return closed_; }

  wire::Session& session() { return session_; }
  /// Something was submitted to the session.
  void touch();
  /// Called by the flush queue.
  void flush();
  void answer_pings();

  /// Bytes moved to the session's output so far, and how many of them the socket took.
  std::uint64_t queued_total() { return written_total_ + session_.output().size(); }
  std::uint64_t written_total() const { return written_total_; }
  std::uint64_t read_total() const { return read_total_; }
  int native_handle() { return socket_.native_handle(); }

 private:
  void receive();
  void on_readable(const boost::system::error_code& ec);
  /// Reads what is there, up to a bound.  False: the connection is gone.
  bool read();
  /// Gives received bytes to the session.  False as above.
  bool feed(std::span<const std::uint8_t> data);
  void wait_writable();
  /// Has the kernel tell of room to write only when it is waited for.  Between waits.  False: the
  /// connection is gone.
  bool forget_room();
  void fail(std::string why);
  void finish();
  void refuse_http1();

  FlushQueue& queue_;
  Socket socket_;
  Owner* owner_;
  wire::Session session_;
  const wire::Role role_;
  bool dirty_ = false;
  bool awaits_pings_ = false;  // The flush queue is going to call answer_pings().
  bool waits_writable_ = false;
  bool told_of_room_ = false;  // The kernel tells of room to write, also when nobody waits for it.
  int calm_waits_ = 0;         // To read, since the last one for room.
  bool finished_ = false;      // Nothing is sent any more; see on_transport_finished().
  bool closed_ = false;
  std::uint64_t written_total_ = 0;
  std::uint64_t read_total_ = 0;
};

}  // namespace plugind::forward
