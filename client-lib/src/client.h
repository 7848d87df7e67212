// pd_client: the connection to the daemon, opened anew when it breaks, and the calls on it.
#pragma once

#include <cstdint>

#include "client-lib/src/connection.h"
#include "client-lib/src/invocation.h"
#include "client-lib/src/options.h"
#include "client-lib/src/pending_call.h"

namespace plugind::client {

class Client {
 public:
  struct Request {
    const char* plugin;
    const char* method;
    const void* message;
    std::size_t size;
    const pd_options* options;
  };

  Client(const Address& address, std::int64_t timeout_ms);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Opens the first connection.
  pd_error* open();
  /// Exactly one of the reply and *error is set.
  pd_reply* invoke(const Request& request, pd_error** error);
  /// Ends every call, waits until their threads have left, and frees the client, or leaves that to
  /// its last pending call.  In a fork only the descriptors are closed: what other threads did when
  /// it was made is unknown, and their locks are theirs for ever.
  static void close(Client* client);

  // -- calls that hold no thread (pending_calls.cc); see plugind.h ------------------------------
  /// Null: *error is set.
  PendingCall* begin(const Request& request, std::uint64_t tag, pd_error** error);
  /// Exactly one of the reply and *error is set.
  pd_reply* wait(PendingCall& call, pd_error** error);
  void cancel(PendingCall& call);
  PendingCall* next(std::int64_t timeout_ms);
  void flush();
  /// Frees the call, and the client if it is closed and this was the last.
  static void release(PendingCall* call);

  /// For PendingCall: what it was sent as has ended.
  void on_pending_ended(PendingCall& call);

 private:
  class Active;
  class Held;
  struct NextWaiter {
    Waiter waiter{Waiter::Purpose::kNextCall};
    Link<NextWaiter> link;
  };

  bool is_forked() const { return process_id() != process_; }

  Connection* acquire(Time deadline, pd_error** error);
  void hold(Connection* connection) { ++connection->users; }
  void put(Connection* connection);
  pd_error* connect(Time deadline);
  pd_error* connect_failure(ConnectResult result, const Socket& socket) const;
  pd_error* greeting_failure(const Connection& connection) const;

  pd_error* prepare(const Request& request, Invocation& invocation) const;
  pd_error* start(Invocation& invocation);
  pd_error* start_once(Invocation& invocation, bool* refused);
  bool settle(Invocation& invocation, pd_reply** reply, pd_error** error);
  pd_reply* invoke_active(const Request& request, pd_error** error);
  pd_error* wait_for_stream(Connection& connection, Time deadline, bool* refused);
  pd_error* closed() const;
  pd_error* forked() const;
  pd_error* refused_twice() const;
  pd_error* timed_out(const Invocation& invocation) const;

  static pd_error* make_cancelled();
  void cancel_active(PendingCall& call);
  pd_error* start_pending(PendingCall& call);
  void settle_pending(PendingCall& call);
  PendingCall* next_active(Time deadline);
  void wait_for_next(Time deadline);
  void add_deadline(PendingCall& call);
  void expire_pending();
  void flush_active();
  void drop_reference();

  const Address address_;
  const std::int64_t timeout_ms_;
  const std::int64_t process_;
  Mutex mutex_;
  Condition changed_;  // is_connecting_, active_calls_ or a PendingCall's is_held has.
  Connection* connection_ = nullptr;                 // For new calls; counts as a user of it.
  List<Connection, &Connection::link> connections_;  // That one, and those with calls still to end.
  unsigned active_calls_ = 0;                        // Threads that are in here.
  unsigned references_ = 1;                          // The host's, and each pending call's.
  bool is_connecting_ = false;
  bool is_closing_ = false;

  // Pending calls: first under way, then ended until they are given.  A call that a thread waits
  // for is not among the latter.
  List<PendingCall, &PendingCall::under_way_link> under_way_;
  List<PendingCall, &PendingCall::ended_link> ended_;
  List<PendingCall, &PendingCall::deadline_link>
      deadlines_;  // Of those under way, the first first.
  List<NextWaiter, &NextWaiter::link> next_waiters_;
  unsigned unsent_calls_ = 0;  // Begun, and perhaps not sent.
};

}  // namespace plugind::client
