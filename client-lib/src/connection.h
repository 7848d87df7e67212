// One connection to the daemon, driven by the threads that wait on it: no thread is made here.
//
// The first thread that waits becomes the leader: it receives, outside the lock, and gives the
// bytes to the session, which ends calls and wakes the threads that wait for them.  When the
// leader's own wait is over, it wakes another waiter to lead.  A thread that submits sends its
// bytes by itself, outside the lock, and what others submit meanwhile; when the socket takes no
// more, it (or another waiter) waits until it does.
//
// All functions need the lock that the constructor was given; wait() gives it up meanwhile.
#pragma once

#include <cstdint>

#include "client-lib/src/address.h"
#include "client-lib/src/call.h"
#include "client-lib/src/list.h"
#include "client-lib/src/socket.h"
#include "client-lib/src/sync.h"
#include "client-lib/src/wakeup.h"
#include "proto/wire/session.h"

namespace plugind::client {

class Connection final : private wire::SessionHandler {
 public:
  Connection(Mutex& mutex, const Address& address, Socket&& socket);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// The client counts who uses the connection, and calls on it that pd_next may have to give.
  unsigned users = 0;
  unsigned pending_calls = 0;
  Link<Connection> link;

  bool is_valid() const { return session_.is_valid(); }
  /// The daemon's SETTINGS have come: it is one, and it listens.
  bool is_greeted() const { return is_greeted_; }
  bool is_broken() const { return is_broken_; }
  /// New calls may start here.
  bool is_usable() const { return !is_broken_ && !is_going_away_; }
  bool has_free_stream() const;

  /// Receives what has come while nobody waited, to learn whether the daemon still is there.
  void look();

  /// Whoever waits can be woken when another thread ends what it waits for.  False: the system has
  /// no descriptor left.
  bool open_wakeup() { return wakeup_.open(); }

  /// Starts `call`, to be sent by flush(); the connection holds a reference until its stream is
  /// gone.  False when no call can start here any more.
  bool submit(Call& call, const wire::HeaderList& headers);
  /// Sends what can be sent without waiting.
  void flush();
  /// Tells the daemon that nobody waits for the call.
  void cancel(Call& call);

  /// Waits until `waiter.is_done`, doing the connection's I/O if nobody else does.  False when the
  /// deadline passes first.  A broken connection ends every wait.
  bool wait(Waiter& waiter, Time deadline);

  /// No new calls; those that run go on.
  void retire() { is_going_away_ = true; }
  /// Breaks the connection: every wait ends, and every call ends with `code` and `reason`, but
  /// those of which no byte was sent: they are refused.  `why` is part of a sentence.  Both texts
  /// live as long as the connection.  A call that is being sent just now ends when that is done.
  void fail(int code, const char* reason, const char* why);
  /// Closes the descriptor without a word to the daemon, in a fork that inherited it.
  void forget_socket() {
    socket_.close();
    wakeup_.close();
  }

 private:
  using CallList = List<Call, &Call::link>;

  bool has_blocked_output() { return is_blocked_ && !is_unwritable_ && !is_broken_; }
  void lead(Time deadline);
  void help_sending(Time deadline);
  bool pull();
  void send_output();
  void wake_leader();
  void take(const Socket::Received& received);
  void end_if_finished();
  void end_broken_calls();
  void hand_over();
  void drop(Call* call);

  void* on_stream_opened(wire::StreamId stream) override;
  void on_headers(wire::StreamId stream, void* user, Block block, wire::HeaderList& headers,
                  bool end_stream) override;
  void on_data(wire::StreamId stream, void* user, const std::uint8_t* data,
               std::size_t size) override;
  void on_end_of_data(wire::StreamId stream, void* user) override;
  void on_request_headers_sent(wire::StreamId stream, void* user) override;
  void on_body_sent(wire::StreamId stream, void* user, std::size_t size) override;
  void on_headers_too_large(wire::StreamId stream, void* user, Block block) override;
  void on_stream_closed(wire::StreamId stream, void* user, std::uint32_t error_code) override;
  void on_goaway(wire::StreamId last_stream, std::uint32_t error_code) override;
  void on_settings() override;

  static constexpr std::size_t kReceiveSize = 128u << 10;

  Address address_;
  Socket socket_;
  Wakeup wakeup_;
  wire::Session session_;
  CallList calls_;     // Whose streams are open.
  WaitQueue waiters_;  // Everybody in wait().
  std::uint64_t sent_ = 0;
  std::uint64_t sending_ = 0;  // Bytes that a system call is just sending.
  struct {
    int code = 0;
    const char* reason = "";
    const char* why = "";
  } break_;  // What calls of a broken connection end with.
  bool is_greeted_ = false;
  bool is_broken_ = false;
  bool is_going_away_ = false;
  bool is_unwritable_ = false;  // Sending failed; what the daemon said before may still be read.
  const Waiter* leader_ = nullptr;
  bool is_leader_polling_ = false;
  bool is_wakeup_set_ = false;
  bool has_sender_ = false;
  bool is_blocked_ = false;  // The socket takes no more, or a sender has sent enough for others.
  std::uint8_t buffer_[kReceiveSize];  // The leader's.
};

}  // namespace plugind::client
